package phone

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// tags are those that Telegram's HTML knows.
var tags = []string{"b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "code", "pre", "a", "span", "tg-spoiler",
	"tg-emoji", "blockquote"}

// unmarked is the text that remains once markup is read. Of the parse modes only HTML is known here.
func unmarked(s, mode string) (string, *refusal) {
	switch strings.ToLower(mode) {
	case "":
		return s, nil
	case "html":
		return unmarkedHTML(s)
	}
	return "", badRequest("unsupported parse_mode")
}

func unmarkedHTML(s string) (string, *refusal) {
	cannot := func(format string, args ...any) (string, *refusal) {
		return "", badRequest("can't parse entities: " + fmt.Sprintf(format, args...))
	}
	var text strings.Builder
	var open []string
	for i := 0; i < len(s); {
		if s[i] != '<' {
			end := strings.IndexByte(s[i:], '<')
			if end < 0 {
				end = len(s) - i
			}
			text.WriteString(s[i : i+end])
			i += end
			continue
		}
		end := strings.IndexByte(s[i:], '>')
		if end < 0 {
			return cannot("Unclosed start tag at byte offset %d", i)
		}
		inner := s[i+1 : i+end]
		if name, closing := strings.CutPrefix(inner, "/"); closing {
			if len(open) == 0 {
				return cannot("Unexpected end tag at byte offset %d", i)
			}
			last := open[len(open)-1]
			if name != "" && !strings.EqualFold(strings.TrimSpace(name), last) {
				return cannot(`Unmatched end tag at byte offset %d, expected "</%s>", found "</%s>"`, i, last, name)
			}
			open = open[:len(open)-1]
		} else {
			name, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(inner)), " ")
			if !slices.Contains(tags, name) {
				return cannot(`Unsupported start tag "%s" at byte offset %d`, name, i)
			}
			open = append(open, name)
		}
		i += end + 1
	}
	if len(open) > 0 {
		return cannot(`Can't find end tag corresponding to start tag "%s"`, open[len(open)-1])
	}
	return html.UnescapeString(text.String()), nil
}
