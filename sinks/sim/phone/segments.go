package phone

import (
	"strings"
	"unicode/utf16"
)

const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtended = "\f^{}\\[~]|€"
)

// segments is how many SMS a text takes.
func segments(s string) int {
	var septets []int
	for _, r := range s {
		switch {
		case strings.ContainsRune(gsmBasic, r):
			septets = append(septets, 1)
		case strings.ContainsRune(gsmExtended, r):
			septets = append(septets, 2)
		default:
			return fill(units(s), 70, 67)
		}
	}
	return fill(septets, 160, 153)
}

// units is the UTF-16 units of each character.
func units(s string) []int {
	var l []int
	for _, r := range s {
		l = append(l, utf16.RuneLen(r))
	}
	return l
}

// fill packs characters into parts: one of size single, or several of size part, none of which splits a character.
func fill(sizes []int, single, part int) int {
	total := 0
	for _, n := range sizes {
		total += n
	}
	if total <= single {
		return 1
	}
	parts, used := 1, 0
	for _, n := range sizes {
		if used+n > part {
			parts, used = parts+1, 0
		}
		used += n
	}
	return parts
}

// digits is a number's digits, 8 of a Russian one made 7.
func digits(s string) string {
	d := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
	if len(d) == 11 && d[0] == '8' {
		return "7" + d[1:]
	}
	return d
}

// mobile tells whether digits can be a phone that takes SMS.
func mobile(d string) bool {
	if len(d) < 10 || len(d) > 15 {
		return false
	}
	return d[0] != '7' || len(d) == 11 && d[1] == '9'
}
