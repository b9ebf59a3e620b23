package sms

import (
	"strings"
	"unicode/utf16"
)

// Characters of the GSM 7-bit default alphabet, and those of its extension, which take two septets.
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtension = "^{}\\[~]|€\f"
)

// septets is what r costs in GSM-7; 0: it is not in the alphabet, and takes the whole text to UCS-2.
func septets(r rune) int {
	switch {
	case strings.ContainsRune(gsmBasic, r):
		return 1
	case strings.ContainsRune(gsmExtension, r):
		return 2
	}
	return 0
}

func gsm(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return septets(r) == 0 })
}

// Segments is how many SMS a text takes, and so what it costs. A text that needs several gives six octets of each to
// the header that joins them; neither an escaped character nor a surrogate pair is divided between two.
func Segments(s string) int {
	cost, one, each := alphabet(s)
	total, parts, used := 0, 1, 0
	for _, r := range s {
		c := cost(r)
		total += c
		if used+c > each {
			parts, used = parts+1, 0
		}
		used += c
	}
	if total == 0 {
		return 0
	}
	if total <= one {
		return 1
	}
	return parts
}

func alphabet(s string) (cost func(rune) int, one, each int) {
	if gsm(s) {
		return septets, 160, 153
	}
	return func(r rune) int { return max(utf16.RuneLen(r), 1) }, 70, 67
}

// Fit is the longest beginning of s that takes no more segments than parts.
func Fit(s string, parts int) string {
	s = strings.TrimSpace(s)
	if Segments(s) <= parts {
		return s
	}
	// A beginning of a UCS-2 text may be GSM-7 and take less, so look from the end of what could fit at best.
	r := []rune(s)
	for end := min(len(r), 160*parts); end > 0; end-- {
		if cut := strings.TrimSpace(string(r[:end])); Segments(cut) <= parts {
			return cut
		}
	}
	return ""
}

var typographic = strings.NewReplacer(
	"«", `"`, "»", `"`, "“", `"`, "”", `"`, "„", `"`, "‘", "'", "’", "'", "‚", "'", "`", "'",
	"–", "-", "—", "-", "―", "-", "−", "-", "‑", "-", "‐", "-", "…", "...", "•", "-", "№", "No",
	"\u00a0", " ", "\u202f", " ", "\u2009", " ", "\u2007", " ", "\t", " ",
	"\u200b", "", "\u200c", "", "\u200d", "", "\ufeff", "", "\u00ad", "",
)

// Smart replaces what typography has put in: a long dash or a no-break space would make two segments of a Latin text
// that needs one. A text that is UCS-2 anyway keeps its typography.
func Smart(s string) string {
	if plain := typographic.Replace(s); gsm(plain) {
		return plain
	}
	return s
}
