package mail

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// line is a text on one line, without what cannot be shown, of at most so many bytes.
func line(s string, most int) string {
	s = strings.Join(strings.Fields(strings.Map(shown, strings.ToValidUTF8(s, "\uFFFD"))), " ")
	return clip(s, most)
}

// shown leaves out what no text of a person holds and no database takes.
func shown(r rune) rune {
	switch {
	case r == '\n' || r == '\t':
		return r
	case r == '\u00a0' || r == '\u202f':
		return ' '
	case unicode.IsControl(r), r == '\u200b', r == '\u200c', r == '\ufeff', r == '\u00ad', r == '\u034f', r == '\u2060':
		return -1
	}
	return r
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

// tidy makes text of lines: no blanks at their ends, no more than one empty line in a row.
func tidy(s string) string {
	s = strings.Map(shown, strings.ToValidUTF8(s, "\uFFFD"))
	var b strings.Builder
	b.Grow(len(s))
	empty := 0
	for l := range strings.Lines(s) {
		l = strings.TrimRight(l, " \t\n")
		if l == "" {
			empty++
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
			if empty > 0 {
				b.WriteByte('\n')
			}
		}
		empty = 0
		b.WriteString(l)
	}
	return b.String()
}

// Lines with which a reply begins to quote, as mailers write them.
var (
	quoting = regexp.MustCompile(`(?i)^(on\b.{5,200}\bwrote|.{0,120}(\d{1,2}[:.]\d{2}|\d{4}|@).{0,120}(пишет|писал|писала|писал\(а\)|написал|написала|написал\(а\))|.{0,200}<[^<>]+@[^<>]+>.{0,40}(wrote|пишет|писала?|написала?)):\s*$`)
	divider = regexp.MustCompile(`(?i)^[\s>]*(-{2,}|_{2,}|={2,}|begin )\s*(original message|forwarded message|исходное сообщение|пересланное сообщение|пересылаемое сообщение|перенаправленное сообщение|конец пересылаемого)([^\p{L}]|$)`)
	heading = regexp.MustCompile(`(?i)^\*?(from|от|от кого):\*?\s.*@|^\*?(from|от кого):\*?\s`)
	headed  = regexp.MustCompile(`(?i)^\*?(to|sent|date|subject|cc|кому|отправлено|дата|тема|копия):\*?\s`)
	sent    = regexp.MustCompile(`(?i)^\s*(sent from my|sent via|get outlook for|отправлено (с|из) |отправлено через )`)
)

// said is what the sender wrote anew: the text without what it quotes and without the signature. Where nothing of it is
// left, as of a mail that was only forwarded, it is all of the text.
func said(text string) (own, signature string) {
	lines := strings.Split(text, "\n")
	var kept []string
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		switch {
		case strings.HasPrefix(l, ">"):
			continue
		case l == "--" || sent.MatchString(l) && i > 0:
			end := skipSignature(lines, i)
			signature = clip(strings.Join(lines[min(i+1, len(lines)):min(end+1, len(lines))], "\n"), 4<<10)
			i = end
			continue
		case divider.MatchString(l), heading.MatchString(l) && i+1 < len(lines) && hasHeading(lines[i+1:]):
			i = len(lines)
			continue
		}
		if n := quotes(lines, i); n > 0 {
			if next := i + n; next < len(lines) && !quotedSoon(lines[next:]) {
				break // no signs before the lines: the rest is the quotation
			}
			i += n - 1
			continue
		}
		kept = append(kept, l)
	}
	if own = tidy(strings.Join(kept, "\n")); own == "" {
		own = text
	}
	return clip(own, mostSaid), signature
}

// quotes is how many lines from i on say who wrote what follows: mailers break long ones.
func quotes(lines []string, i int) int {
	l := lines[i]
	for n := 1; n <= 3 && len(l) <= 300; n++ {
		if strings.HasSuffix(l, ":") {
			if quoting.MatchString(l) {
				return n
			}
			return 0
		}
		if i+n >= len(lines) || lines[i+n] == "" {
			return 0
		}
		l += " " + lines[i+n]
	}
	return 0
}

// quotedSoon is whether the next line that is not empty is marked as quoted.
func quotedSoon(lines []string) bool {
	for _, l := range lines {
		if strings.TrimSpace(l) != "" {
			return strings.HasPrefix(l, ">")
		}
	}
	return true
}

// skipSignature is the last line of a signature: it ends where quoted lines begin, below which people write too.
func skipSignature(lines []string, i int) int {
	for ; i+1 < len(lines); i++ {
		if strings.HasPrefix(lines[i+1], ">") || quotes(lines, i+1) > 0 || divider.MatchString(lines[i+1]) {
			return i
		}
	}
	return len(lines)
}

// hasHeading is whether one of the next lines is another of a quoted header.
func hasHeading(lines []string) bool {
	for _, l := range lines[:min(4, len(lines))] {
		if headed.MatchString(l) {
			return true
		}
	}
	return false
}

// fromHTML is what a reader of the page would see. Cells of a table's row stand beside each other with a tab between them,
// and quoted blocks have the signs of plain text.
func fromHTML(page string) (text string, whole bool) {
	w := htmlText{}
	for page != "" && w.again < 16 { // a page made to cost time is looked through to its end more often
		page = w.read(page)
	}
	return w.String(), page == ""
}

// closers end what nobody is shown.
var closers = map[atom.Atom]*regexp.Regexp{
	atom.Script: regexp.MustCompile(`(?i)</script`), atom.Style: regexp.MustCompile(`(?i)</style`),
	atom.Title: regexp.MustCompile(`(?i)</title`), atom.Template: regexp.MustCompile(`(?i)</template`),
}

// read reads a page as far as it is right. What is opened and never closed would hide all that follows: that is to be read
// without it.
func (w *htmlText) read(page string) (rest string) {
	z := html.NewTokenizer(strings.NewReader(page))
	at, hiddenTo := 0, 0
	for {
		kind := z.Next()
		raw := string(z.Raw())
		from := at
		at += len(raw)
		switch kind {
		case html.ErrorToken:
			if rest := strings.TrimSpace(page[from:]); strings.HasPrefix(rest, "<") {
				w.text("<")
				w.again++
				return rest[1:]
			}
			return ""
		case html.TextToken:
			if from >= hiddenTo {
				w.text(string(z.Text()))
			}
		case html.CommentToken:
			if strings.HasPrefix(raw, "<!--") && !strings.HasSuffix(raw, "-->") && !strings.HasSuffix(raw, "--!>") {
				w.again++
				return page[from+len("<!--"):]
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			a := atom.Lookup(name)
			closer := closers[a]
			switch {
			case from < hiddenTo, closer != nil && kind == html.SelfClosingTagToken:
			case closer == nil:
				w.open(a)
				if a == atom.Noscript {
					return page[at:] // no mailer runs scripts: what stands there is shown
				}
			default:
				end := closer.FindStringIndex(page[at:])
				if end == nil {
					w.again++
					return page[at:]
				}
				hiddenTo = at + end[0]
			}
		case html.EndTagToken:
			if name, _ := z.TagName(); from >= hiddenTo {
				w.close(atom.Lookup(name))
			}
		}
	}
}

type htmlText struct {
	strings.Builder
	again        int // how often something was open to the page's end
	quoted       int
	cells        int // of the row so far
	blank, began bool
}

func (w *htmlText) open(a atom.Atom) {
	switch a {
	case atom.Br, atom.Hr, atom.P, atom.Div, atom.Li, atom.Ul, atom.Ol, atom.Table, atom.H1, atom.H2, atom.H3, atom.H4, atom.Dt, atom.Dd:
		w.newline()
	case atom.Tr:
		w.newline()
		w.cells = 0
	case atom.Td, atom.Th:
		if w.cells++; w.cells > 1 && w.began {
			w.WriteByte('\t')
			w.blank = false
		}
	case atom.Blockquote:
		w.newline()
		w.quoted++
	}
}

func (w *htmlText) close(a atom.Atom) {
	switch a {
	case atom.P, atom.Div, atom.Tr, atom.Li, atom.Table, atom.H1, atom.H2, atom.H3, atom.H4:
		w.newline()
	case atom.Blockquote:
		w.newline()
		w.quoted = max(0, w.quoted-1)
	}
}

func (w *htmlText) newline() {
	w.WriteByte('\n')
	w.blank, w.began = false, false
}

// text writes words with one blank between them, as a browser does.
func (w *htmlText) text(s string) {
	for _, r := range s {
		if unicode.IsSpace(r) {
			w.blank = w.began
			continue
		}
		if !w.began && w.quoted > 0 {
			w.WriteString(strings.Repeat("> ", min(w.quoted, 5)))
		}
		if w.blank {
			w.WriteByte(' ')
		}
		w.blank, w.began = false, true
		w.WriteRune(r)
	}
}
