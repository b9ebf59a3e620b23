package mail

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/charmap"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// labels are as the intake has them.
var labels = map[string]string{"имя": "name", "name": "name", "телефон": "phone", "phone": "phone", "email": "email", "e-mail": "email",
	"комментарий": "message", "сообщение": "message", "услуга": "service"}

var reader = Reader{Own: []string{"info@salon.test", "leads@salon.test"}, Means: func(label string) string { return labels[strings.ToLower(label)] }, Phone: regexp.MustCompile(`\+7[\d ()-]{10,}`).FindString}

// mailOf is a message of Olga's: headers that are given come first.
func mailOf(body string, headers ...string) string {
	return strings.Join(headers, "\n") + strings.Repeat("\n", min(1, len(headers))) +
		"From: =?utf-8?B?" + base64.StdEncoding.EncodeToString([]byte("Ольга")) + "?= <olga@example.test>\nTo: leads@salon.test\n" +
		"Message-ID: <1@example.test>\nDate: Sun, 01 Mar 2026 11:59:00 +0000\n" + body
}

func read(t *testing.T, raw string) *Message {
	t.Helper()
	m, err := reader.Read([]byte(strings.ReplaceAll(raw, "\n", "\r\n")), now)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func encode(t *testing.T, table *charmap.Charmap, text string) string {
	t.Helper()
	b, err := table.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever it is in, the text is the text.
func TestText(t *testing.T) {
	const text = "Здравствуйте, сколько стоит стрижка?"
	koi, win := encode(t, charmap.KOI8R, text), encode(t, charmap.Windows1251, text)
	tests := map[string]string{
		"utf-8":                       "Content-Type: text/plain; charset=utf-8\n\n" + text,
		"no charset":                  "\n" + text,
		"koi8-r":                      "Content-Type: text/plain; charset=koi8-r\n\n" + koi,
		"koi8-r, not said":            "\n" + koi,
		"koi8-r, said to be utf-8":    "Content-Type: text/plain; charset=utf-8\n\n" + koi,
		"windows-1251":                "Content-Type: text/plain; charset=\"Windows-1251\"\n\n" + win,
		"cp1251":                      "Content-Type: text/plain; charset=cp1251\n\n" + win,
		"windows-1251, not said":      "\n" + win,
		"windows-1251, said unknown":  "Content-Type: text/plain; charset=x-none\n\n" + win,
		"windows-1251, said us-ascii": "Content-Type: text/plain; charset=us-ascii\n\n" + win,
		"base64":                      "Content-Type: text/plain; charset=koi8-r\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte(koi)),
		"unknown transfer encoding":   "Content-Transfer-Encoding: x-none\n\n" + text,
		"quoted-printable":            "Content-Type: text/plain; charset=windows-1251\nContent-Transfer-Encoding: quoted-printable\n\n" + quoted(win),
		"html":                        "Content-Type: text/html; charset=utf-8\n\n<html><head><title>x</title><style>p{}</style></head><body><p>Здравствуйте,&nbsp;сколько <b>стоит</b>\nстрижка?</p><script>1</script></body>",
		"html, koi8-r":                "Content-Type: text/html; charset=koi8-r\n\n<p>" + koi + "</p>",
		"both":                        "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain; charset=utf-8\n\n" + text + "\n--b\nContent-Type: text/html\n\n<p>other</p>\n--b--\n",
		"both, the plain one empty":   "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\n \n--b\nContent-Type: text/html; charset=utf-8\n\n<p>" + text + "</p>\n--b--\n",
		"cut within the html":         "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain; charset=utf-8\n\n" + text + "\n--b\nContent-Type: text/html\n\n<p>oth",
		"NUL bytes":                   "\nЗдравствуйте,\x00 сколько стоит\x00 стрижка?",
		"a line that is no header":    "this is nonsense\nX-More: 1\n\n" + text,
		"multipart without boundary":  "Content-Type: multipart/mixed\n\n" + text,
		"signature":                   "\n" + text + "\n\n-- \nОльга\n+7 999 000-00-11",
		"quoted below":                "\n" + text + "\n\n01.03.2026 10:00, Салон пишет:\n> Добрый день\n> \n> Ждём",
		"quoted, on two lines":        "\n" + text + "\n\nOn Sun, Mar 1, 2026 at 10:00 AM The Salon of Long Names Incorporated\n<info@salon.test> wrote:\n> Hello",
		"quoted by Outlook":           "\n" + text + "\n\nОт: Салон <info@salon.test>\nОтправлено: 1 марта 2026 г. 10:00\nКому: Ольга\nТема: Re: цена\n\nДобрый день",
		"quoted, answered below":      "\n01.03.2026 10:00, Салон пишет:\n> Добрый день\n\n" + text,
		"quoted html":                 "Content-Type: text/html; charset=utf-8\n\n<div>" + text + "</div><blockquote>Добрый день<br>Ждём</blockquote>",
		"a telephone's":               "\n" + text + "\n\nОтправлено с iPhone",
		"an original message":         "\n" + text + "\n\n-----Исходное сообщение-----\nДобрый день",
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			if m := read(t, mailOf(body)); m.Said != text || m.Not != "" {
				t.Errorf("%q, of %q (%s)", m.Said, m.Text, m.Not)
			}
		})
	}
	m := read(t, mailOf("\nFwd\n---- Пересланное сообщение ----\nИмя: Анна"))
	if m.Said != "Fwd" || !strings.Contains(m.Text, "Анна") {
		t.Errorf("%+v", m)
	}
	if m := read(t, mailOf("\n-- \n+7 999 000-00-11")); m.Said == "" || m.Signature != "+7 999 000-00-11" {
		t.Errorf("%+v", m)
	}
}

func quoted(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "=%02X", s[i])
	}
	return b.String()
}

func TestHeaders(t *testing.T) {
	win := encode(t, charmap.Windows1251, "Ольга")
	tests := map[string]struct {
		raw  string
		want Message
	}{
		"as it should be": {mailOf("Subject: =?koi8-r?B?" + base64.StdEncoding.EncodeToString([]byte(encode(t, charmap.KOI8R, "Цена"))) + "?=\n\nx"),
			Message{ID: "1@example.test", From: Address{"Ольга", "olga@example.test"}, Person: Address{"Ольга", "olga@example.test"}, Subject: "Цена",
				Date: time.Date(2026, 3, 1, 11, 59, 0, 0, time.UTC)}},
		"in an old charset, as it is": {"From: " + win + " <olga@example.test>\nMessage-ID: <1@a>\n\nx",
			Message{ID: "1@a", From: Address{"Ольга", "olga@example.test"}, Person: Address{"Ольга", "olga@example.test"}}},
		"a form service's": {"From: Tilda <noreply@tilda.test>\nReply-To: Анна <ANNA@Example.test>\nMessage-ID: <1@a>\n\nx",
			Message{ID: "1@a", From: Address{"Tilda", "noreply@tilda.test"}, Person: Address{"Анна", "anna@example.test"}}},
		"our own, for somebody": {"From: info@salon.test\nReply-To: anna@example.test\nMessage-ID: <1@a>\n\nx",
			Message{ID: "1@a", From: Address{"", "info@salon.test"}, Person: Address{"", "anna@example.test"}}},
		"nobody reads it": {"From: Bank <no-reply@bank.test>\nMessage-ID: <1@a>\n\nx",
			Message{ID: "1@a", From: Address{"Bank", "no-reply@bank.test"}}},
		"no From":     {"Message-ID: <1@a>\nSubject: x\n\nx", Message{ID: "1@a", Subject: "x"}},
		"broken From": {"From: \"Olga <olga@example.test>, ,;\nMessage-ID: <1@a>\n\nx", Message{ID: "1@a", From: Address{"Olga", "olga@example.test"}, Person: Address{"Olga", "olga@example.test"}}},
		"an answer":   {"From: a@b.test\nMessage-ID: <3@a>\nReferences: <1@a> <2@a>\nIn-Reply-To: <2@a>\n\nx", Message{ID: "3@a", Thread: "1@a", From: Address{"", "a@b.test"}, Person: Address{"", "a@b.test"}}},
		"of 1970":     {"From: a@b.test\nMessage-ID: <3@a>\nDate: Thu, 01 Jan 1970 00:00:00 +0000\n\nx", Message{ID: "3@a", From: Address{"", "a@b.test"}, Person: Address{"", "a@b.test"}, Dated: "Thu, 01 Jan 1970 00:00:00 +0000"}},
		"of 2099, with a server that knows": {"Received: from x by y; Sun, 01 Mar 2026 11:00:00 +0000\nFrom: a@b.test\nMessage-ID: <3@a>\nDate: Thu, 01 Jan 2099 00:00:00 +0000\n\nx",
			Message{ID: "3@a", From: Address{"", "a@b.test"}, Person: Address{"", "a@b.test"}, Dated: "Thu, 01 Jan 2099 00:00:00 +0000", Date: time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)}},
		"control characters": {"From: a@b.test\nMessage-ID: <3\x01@a>\nSubject: a\x00b\x1b[0m\tc\n d\n\nx", Message{ID: "3@a", Subject: "ab[0m c d", From: Address{"", "a@b.test"}, Person: Address{"", "a@b.test"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := read(t, tt.raw)
			m.Said, m.Text = "", ""
			if diff := cmp.Diff(tt.want, *m); diff != "" {
				t.Error(diff)
			}
		})
	}
	a, b, c := read(t, "From: a@b.test\n\nx"), read(t, "From: a@b.test\n\nx"), read(t, "From: a@b.test\n\ny")
	if a.ID != b.ID || a.ID == c.ID || a.ID == "" {
		t.Errorf("without Message-ID: %q %q %q", a.ID, b.ID, c.ID)
	}
}

// What is no enquiry, and what looks like none and is one.
func TestNot(t *testing.T) {
	const form = "\nИмя: Анна\nТелефон: +7 999 000-00-11\n"
	tests := map[string]struct{ raw, want string }{
		"a person's":                 {mailOf("\nhello"), ""},
		"out of office":              {mailOf("Auto-Submitted: auto-replied\n\nI am away"), AutoReply},
		"out of office, older":       {mailOf("X-Autoreply: yes\n\nI am away"), AutoReply},
		"out of office, oldest":      {mailOf("Precedence: auto_reply\n\nI am away"), AutoReply},
		"out of office with a form":  {mailOf("Auto-Submitted: auto-replied\n" + form), AutoReply},
		"not automatic":              {mailOf("Auto-Submitted: no\n\nhello"), ""},
		"a list's":                   {mailOf("List-Id: <x.example.test>\n\nnews"), List},
		"a shop's":                   {mailOf("List-Unsubscribe: <https://example.test>\n\nnews"), List},
		"bulk":                       {mailOf("Precedence: bulk\n\nnews"), List},
		"a form, in bulk":            {mailOf("Precedence: bulk\nAuto-Submitted: auto-generated\nX-Spam-Flag: YES\n" + form), ""},
		"a program's":                {mailOf("Auto-Submitted: auto-generated\n\nThe backup is done"), Automatic},
		"spam":                       {mailOf("X-Spam-Flag: YES\n\nhello"), Spam},
		"spam, by status":            {mailOf("X-Spam-Status: Yes, score=9\n\nhello"), Spam},
		"no spam, by status":         {mailOf("X-Spam-Status: No, score=1\n\nhello"), ""},
		"spam, by Exchange":          {mailOf("X-MS-Exchange-Organization-SCL: 9\n\nhello"), Spam},
		"our own":                    {"From: INFO@salon.test\nMessage-ID: <1@a>\n\nhello", Own},
		"our own form":               {"From: info@salon.test\nMessage-ID: <1@a>\n" + form, ""},
		"our own, for somebody":      {"From: info@salon.test\nReply-To: a@b.test\nMessage-ID: <1@a>\n\nhello", ""},
		"our answer to somebody":     {"From: info@salon.test\nIn-Reply-To: <1@b>\nMessage-ID: <1@a>\n" + form, Own},
		"our notice":                 {"From: x@b.test\nX-Leadstream: notice\nMessage-ID: <1@a>\n" + form, Own},
		"a bounce without a report":  {"From: Mail Delivery <MAILER-DAEMON@mx.test>\nMessage-ID: <1@a>\n\nfailed", Bounce},
		"a newsletter with a footer": {mailOf("List-Id: <x>\n\n" + strings.Repeat("Скидки недели\n", 300) + "Приходите к нам\nМного всего\nИ ещё\nИ это\nТелефон: +7 999 000-00-11\nEmail: news@example.test\n"), List},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if m := read(t, tt.raw); m.Not != tt.want {
				t.Errorf("%q, want %q", m.Not, tt.want)
			}
		})
	}
}

// What comes as a program's, a list's or our own and names a contact is an enquiry with a doubt; what names none, a bounce, a robot's
// answer and what we write ourselves are none.
func TestDoubt(t *testing.T) {
	own := func(body string) string {
		return "From: Site <leads@salon.test>\nTo: leads@salon.test\nMessage-ID: <1@a>\n\n" + body
	}
	program := func(body string) string { return mailOf("Auto-Submitted: auto-generated\n\n" + body) }
	group := "Precedence: list\nMailing-list: list %[1]s; contact x+owners@salon.test\nList-ID: <%[2]s>\nList-Unsubscribe: <mailto:x@y.test>\n\n%[3]s"
	const notice = "0123456789abcdefghjkmnpqrs.boss@salon.test"
	const bitrix = "Сообщение через форму обратной связи\n\nАвтор: Анна\nE-mail автора: anna@example.org\n\nТекст сообщения:\nСколько стоит?\n"
	const cf7 = "From: Anna <anna@example.org>\nSubject: Haircut\n\nMessage Body:\nHow much?\n\n-- \nThis e-mail was sent from a contact form\n"
	tests := map[string]struct{ raw, not, doubt, said string }{
		"a callback, own":          {own("Заявка\n\nТелефон: +79990000011\n"), "", Own, "+79990000011"},
		"a callback":               {program("Заявка\n\nТелефон: +79990000011\n"), "", Automatic, "+79990000011"},
		"Bitrix":                   {own(bitrix), "", Own, "anna@example.org"},
		"Contact Form 7":           {program(cf7), "", Automatic, "How much?"},
		"prose":                    {own("Клиент Анна просит перезвонить, +7 999 000-00-11\n"), "", Own, "Анна"},
		"dashes":                   {own("Имя - Анна\nТелефон - +79990000011\n"), "", Own, "Анна"},
		"a newsletter-like notice": {mailOf("List-Unsubscribe: <https://a.test>\n\nКлиент Анна, +7 999 000-00-11\n"), "", List, "Анна"},
		"our group":                {mailOf(fmt.Sprintf(group, "info@salon.test", "info.salon.test", "hello")), "", "", "hello"},
		"a group that is not ours": {mailOf(fmt.Sprintf(group, "golang@groups.test", "golang.groups.test", "hello")), List, "", ""},
		"in it, with a phone":      {mailOf(fmt.Sprintf(group, "golang@groups.test", "golang.groups.test", "call +7 999 000-00-11")), "", List, "call"},
		"a group in its own name": {"From: \"'Olga' via Info\" <info@salon.test>\nX-Original-From: Olga <olga@example.test>\nIn-Reply-To: <1@b>\nMessage-ID: <2@a>\n" +
			fmt.Sprintf(group, "info@salon.test", "info.salon.test", "hello"), "", "", "hello"},
		"no robot":                   {mailOf("X-Autoreply: no\n\nhello"), "", "", "hello"},
		"a robot, with a phone":      {mailOf("Auto-Submitted: auto-replied\n\nI am away, +7 999 000-00-11"), AutoReply, "", ""},
		"a robot, older":             {mailOf("X-Autoreply: yes\n\nI am away, +7 999 000-00-11"), AutoReply, "", ""},
		"our notice":                 {mailOf("X-Leadstream: notice\nAuto-Submitted: auto-generated\n\nAnna +79990000011"), Own, "", ""},
		"our answer":                 {"From: leads@salon.test\nIn-Reply-To: <1@b>\nMessage-ID: <1@a>\n\nCall +7 999 000-00-11\n", Own, "", ""},
		"a bounce with addresses":    {"From: MAILER-DAEMON@mx.test\nMessage-ID: <1@a>\n\n<anna@example.org> +79990000011\n", Bounce, "", ""},
		"a desk, of our notice":      {mailOf("Auto-Submitted: auto-generated\nIn-Reply-To: <" + notice + ">\n\nReceived:\nName: Anna\nPhone: +7 999 000-00-11\n"), AutoReply, "", ""},
		"a desk, older":              {mailOf("Precedence: bulk\nReferences: <1@b>\n <" + notice + ">\n\nReceived: +7 999 000-00-11\n"), AutoReply, "", ""},
		"a person, of our notice":    {mailOf("In-Reply-To: <" + notice + ">\n\nDone\n"), "", "", "Done"},
		"a form in a conversation":   {mailOf("Auto-Submitted: auto-generated\nIn-Reply-To: <1@b>\n\nName: Anna\nPhone: +7 999 000-00-11\n"), "", "", ""},
		"our own without a contact":  {own("remember the milk, leads@salon.test"), Own, "", ""},
		"a program without contacts": {program("The backup is done, no-reply@example.test"), Automatic, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := read(t, tt.raw)
			if m.Not != tt.not || m.Doubt != tt.doubt || !strings.Contains(m.Said, tt.said) {
				t.Errorf("none %q, doubt %q, said %q; want %q, %q, %q", m.Not, m.Doubt, m.Said, tt.not, tt.doubt, tt.said)
			}
			if person := m.Person.Email; (m.Doubt == Own || m.Doubt == Automatic) && person != "" {
				t.Errorf("an answer goes to the program at %s", person)
			}
		})
	}
	for name, tt := range map[string]struct{ raw, want string }{
		"a list's, answers to all": {mailOf("Reply-To: golang@groups.test\n" + fmt.Sprintf(group, "golang@groups.test", "golang.groups.test", "call +7 999 000-00-11")), "olga@example.test"},
		"in the list's name":       {"From: Olga via Golang <golang@groups.test>\nMessage-ID: <1@a>\n" + fmt.Sprintf(group, "golang@groups.test", "golang.groups.test", "call +7 999 000-00-11"), ""},
		"a shop's":                 {mailOf("Reply-To: anna@example.org\nList-Unsubscribe: <https://a.test>\n\nКлиент Анна, +7 999 000-00-11\n"), "anna@example.org"},
	} {
		if m := read(t, tt.raw); m.Doubt != List || m.Person.Email != tt.want {
			t.Errorf("%s: doubt %q, an answer goes to %q, want %q", name, m.Doubt, m.Person.Email, tt.want)
		}
	}
	if m := read(t, tests["a group in its own name"].raw); m.Person.Email != "olga@example.test" {
		t.Errorf("an answer goes to %q", m.Person.Email)
	}
}

// What a program has written wrongly is read all the same; where anything may be missing, the mail is cut.
func TestWrongly(t *testing.T) {
	const text = "Hello, my phone is +79990000011"
	const cyrillic = "Сколько стоит стрижка?"
	one := func(head, body string) string { return "MIME-Version: 1.0\n" + head + "\n\n" + body + "\n" }
	const base, quoted = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64", "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable"
	const page = "Content-Type: text/html; charset=utf-8"
	tests := map[string]struct {
		body, said string
		cut        bool
	}{
		"base64, joined":           {one(base, "SGVsbG8sIA==\nbXkgcGhvbmUgaXMgKzc5OTkwMDAwMDEx"), text, false},
		"base64, joined in a line": {one(base, "SGVsbG8sIA==bXkgcGhvbmUgaXMgKzc5OTkwMDAwMDEx"), text, true},
		"base64, with a mark":      {one(base, "SGVsbG8s\n*\nbXkgcGhvbmUgaXMgKzc5OTkwMDAwMDEx"), "Hello,*\nmy phone is +79990000011", true},
		"base64, plain":            {one(base, text), text, true},
		"base64, plain, Cyrillic":  {one(base, cyrillic), cyrillic, true},
		"base64, a word":           {one(base, "Hello"), "Hello", true},
		"base64, cut":              {one(base, "SGVsbG8sIG15IHBob25lIGlzICs3OTk5MDAwMDAxM"), "Hello, my phone is +7999000001", true},
		"quoted, a control":        {one(quoted, "Hello,\x0b my phone is +79990000011"), text, true},
		"quoted, a wrong escape":   {one(quoted, "Hello, a=\x01 my phone is +79990000011"), "Hello, a= my phone is +79990000011", true},
		"quoted, as it should be":  {one(quoted, "=D0=A1=D0=BA=D0=BE=D0=BB=D1=8C=D0=BA=D0=BE =\nстоит =  \nстрижка?="), cyrillic, false},
		"noscript":                 {one(page, "<p>Hello,<noscript><img> my phone is +79990000011"), text, false},
		"noscript, closed":         {one(page, "<p>Hello, <noscript>my phone</noscript> is +79990000011"), text, false},
		"title, open":              {one(page, "<title>Hello,<body><p> my phone is +79990000011</p>"), "Hello,\nmy phone is +79990000011", false},
		"style, open":              {one(page, "<style>Hello, my phone is +79990000011</p>"), text, false},
		"comment, open":            {one(page, "<!--Hello, my phone is +79990000011</p>"), text, false},
		"template, open":           {one(page, "<p>Hello, <template>my phone is +79990000011</p>"), text, false},
		"template":                 {one(page, "<template>a<template>b</template><p>"+text+"</p>"), text, false},
		"a tag, open":              {one(page, "<p>Hello</p><p phone is +79990000011"), "Hello\n<p phone is +79990000011", false},
		"comments":                 {one(page, "<!-- a --><p>"+text+"<!-- <b> --></p><!---->"), text, false},
		"said windows-1251":        {one("Content-Type: text/plain; charset=windows-1251", cyrillic), cyrillic, false},
		"a hint at the page":       {one("Content-Type: multipart/alternative; boundary=b", "--b\nContent-Type: text/plain\n\nTo view the message, please use an HTML compatible email viewer!\n--b\n"+page+"\n\n<p>"+text+"</p>\n--b--"), text, false},
		"a hint at nothing":        {one("Content-Type: multipart/alternative; boundary=b", "--b\nContent-Type: text/plain\n\nHow much is an HTML page?\n--b\n"+page+"\n\n<p></p>\n--b--"), "How much is an HTML page?", false},
		"a file's type, wrong":     {one("Content-Type: multipart/mixed; boundary=b", "--b\n\n"+text+"\n--b\nContent-Type: application/pdf; name=a b.pdf\nContent-Disposition: attachment; filename=a b.pdf\n\n%PDF\n--b--"), text, false},
		"a boundary, wrong":        {one("Content-Type: multipart/mixed; boundary=b; ;x", "--b\nContent-Type: text/plain charset=utf-8\n\n"+text+"\n--b--"), text, false},
	}
	for _, written := range []string{"text", "html", "TEXT", "plain/text", "text/plain charset=utf-8", "text/html charset=\"utf-8\"", "text/plain; charset",
		"text/plain; charset=utf-8; charset=utf-8", "text/plain; charset=utf-8;;", "text/plain;; charset=utf-8", "text/plain; charset=\"utf-8",
		"text\\html; charset=utf-8", "text/plain, charset=utf-8", "text/plain; name=a.txt", "text/markdown", "multipart/mixed", "multipart/mixed; boundary", ""} {
		tests["type "+written] = struct {
			body, said string
			cut        bool
		}{one("Content-Type: "+written, cyrillic), cyrillic, false}
	}
	tests["boundary nowhere"] = struct {
		body, said string
		cut        bool
	}{one("Content-Type: multipart/mixed; boundary=nowhere", cyrillic), cyrillic, true}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if m := read(t, mailOf(tt.body)); m.Said != tt.said || m.Cut != tt.cut || m.Not != "" {
				t.Errorf("%q, cut %v, files %v; want %q, %v", m.Said, m.Cut, m.Files, tt.said, tt.cut)
			}
		})
	}
}

func TestReports(t *testing.T) {
	const ours = "0123456789abcdefghjkmnpqrs.boss@salon.test"
	dsn := func(action string) string {
		return "From: MAILER-DAEMON@mx.test\nMessage-ID: <9@mx>\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nIt failed\n" +
			"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.test\n\nFinal-Recipient: rfc822; Boss@salon.test\nAction: " + action + "\nStatus: 5.1.1 (no such)\n" +
			"--b\nContent-Type: message/rfc822\n\nMessage-ID: <" + ours + ">\nSubject: x\n\nhello\n--b--\n"
	}
	want := &Report{Of: ours, Failed: true, To: "boss@salon.test", Status: "5.1.1 (no such)"}
	if m := read(t, dsn("failed")); m.Not != Bounce || !cmp.Equal(m.Report, want) {
		t.Error(cmp.Diff(want, m.Report))
	}
	if m := read(t, dsn("delayed")); m.Not != Bounce || m.Report.Failed {
		t.Errorf("%+v", m.Report)
	}
	m := read(t, "From: boss@b.test\nMessage-ID: <9@mx>\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n--b\n\nI read it\n"+
		"--b\nContent-Type: message/disposition-notification\n\nFinal-Recipient: rfc822; boss@b.test\nOriginal-Message-ID: <"+ours+">\nDisposition: manual-action/MDN-sent-manually; displayed\n--b--\n")
	if want := (&Report{Of: ours, Read: true, To: "boss@b.test"}); m.Not != Receipt || !cmp.Equal(m.Report, want) {
		t.Error(cmp.Diff(want, m.Report))
	}
}

func TestForm(t *testing.T) {
	fields := []Field{{"Имя", "Анна"}, {"Телефон", "8 (999) 000-00-11"}, {"Комментарий", "когда\nможно?"}}
	tests := map[string]struct {
		raw  string
		form []Field
		said string
	}{
		"lines":            {mailOf("\nНовая заявка\n\nИмя: Анна\nТелефон: 8 (999) 000-00-11\nКомментарий: когда\nможно?\n"), fields, "Новая заявка"},
		"a table":          {mailOf("Content-Type: text/html; charset=utf-8\n\n<h1>Новая заявка</h1><table><tr><td>Имя</td><td>Анна</td></tr><tr><td>Телефон</td><td>8 (999) 000-00-11</td></tr><tr><td>Комментарий</td><td>когда<br>можно?</td></tr></table>"), fields, "Новая заявка"},
		"bold":             {mailOf("Content-Type: text/html; charset=utf-8\n\n<b>Имя:</b> Анна<br><b>Телефон:</b> 8 (999) 000-00-11<br>"), fields[:2], ""},
		"marks":            {mailOf("\n* Имя: Анна\n• Телефон: 8 (999) 000-00-11\n"), fields[:2], ""},
		"a person's words": {mailOf("\nДобрый день! Мне нужно: стрижка.\nТелефон: 8 999 000-00-11\nИмя моё: неважно\n"), nil, "Добрый день! Мне нужно: стрижка.\nТелефон: 8 999 000-00-11\nИмя моё: неважно"},
		"no contact":       {mailOf("\nИмя: Анна\nУслуга: стрижка\n"), nil, "Имя: Анна\nУслуга: стрижка"},
		"an address":       {mailOf("\nИмя: Анна\nhttps://example.test\nТелефон: 8 (999) 000-00-11\n"), fields[:2], "https://example.test"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := read(t, tt.raw)
			if diff := cmp.Diff(tt.form, m.Form); diff != "" || m.Said != tt.said {
				t.Errorf("%s %q, want %q", diff, m.Said, tt.said)
			}
			if (m.Form == nil) != (m.Person.Email == "olga@example.test") {
				t.Errorf("an answer goes to %q", m.Person.Email)
			}
		})
	}
}

// What somebody forwards as a file is read: of our own people it is a customer's letter, and of a customer it stands below the text.
func TestForwardedAsFile(t *testing.T) {
	file := func(note, headers string) string {
		return "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n" + note + "\n--b\nContent-Type: message/rfc822\nContent-Disposition: attachment\n\n" + headers +
			"\n\nКак записаться на стрижку?\n--b--\n"
	}
	const anna = "From: =?utf-8?B?0JDQvdC90LA=?= <anna@example.org>\nSubject: Haircut\nContent-Type: text/plain; charset=utf-8"
	const shown = "--- Forwarded message ---\nFrom: Анна <anna@example.org>\nSubject: Haircut\n\nКак записаться на стрижку?"
	own := "From: info@salon.test\nMessage-ID: <1@a>\n"
	for name, tt := range map[string]struct{ raw, not, doubt, said, text string }{
		"ours":                 {own + file("", anna), "", Own, shown, shown},
		"ours, with a note":    {own + file("Answer her", anna), "", Own, "Answer her\n\n" + shown, "Answer her\n\n" + shown},
		"a customer's":         {mailOf(file("Is it true?", anna)), "", "", "Is it true?", "Is it true?\n\n" + shown},
		"a file in the file":   {mailOf(file("a", "Content-Type: message/rfc822\n\n"+anna)), "", "", "a", "a\n\n--- Forwarded message ---"},
		"our notice":           {mailOf(file("a", "X-Leadstream: notice\n"+anna)), "", "", "a", "a"},
		"no message at all":    {mailOf(file("a", "")), "", "", "a", "a"},
		"ours, without anyone": {own + file("", "Subject: x"), Own, "", "--- Forwarded message ---\nSubject: x\n\nКак записаться на стрижку?", "--- Forwarded message ---\nSubject: x\n\nКак записаться на стрижку?"},
	} {
		m := read(t, tt.raw)
		if m.Not != tt.not || m.Doubt != tt.doubt || m.Said != tt.said || m.Text != tt.text || len(m.Files) != 1 {
			t.Errorf("%s: none %q, doubt %q, %d files, said %q, text %q", name, m.Not, m.Doubt, len(m.Files), m.Said, m.Text)
		}
	}
}

func TestFiles(t *testing.T) {
	m := read(t, mailOf("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; charset=utf-8\n\nфото\n"+
		"--b\nContent-Type: image/jpeg; name=\"=?utf-8?B?0LAuanBn?=\"\nContent-Disposition: attachment; filename=\"../../=?utf-8?B?0LAuanBn?=\"\nContent-Transfer-Encoding: base64\n\nAAECAwQF\n"+
		"--b\nContent-Type: message/rfc822\n\nFrom: x@y.test\n\ninner\n--b--\n"))
	inner := []byte("From: x@y.test\r\n\r\ninner")
	want := []File{{Name: "а.jpg", Type: "image/jpeg", Size: 6, Content: []byte{0, 1, 2, 3, 4, 5}}, {Type: "message/rfc822", Size: int64(len(inner)), Content: inner}}
	if diff := cmp.Diff(want, m.Files); diff != "" || m.Said != "фото" || m.Cut {
		t.Errorf("%s %+v", diff, m)
	}
}

// A small picture that stands in the text is an ornament; one that was attached, or is large, is a photo.
func TestOrnaments(t *testing.T) {
	part := func(header string, size int) string {
		return "--b\nContent-Type: image/png\n" + header + "\n" + strings.Repeat("A", size) + "\n"
	}
	m := read(t, mailOf("Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n<img src=cid:l>фото\n"+
		part("Content-Id: <l>\nContent-Disposition: inline\n", 100)+part("Content-Id: <m>\n", 100)+
		part("Content-Id: <l>\nContent-Disposition: attachment\n", 100)+part("Content-Id: <l>\nContent-Disposition: inline\n", adorning)+part("", 100)+"--b--\n"))
	var got []bool
	for _, f := range m.Files {
		got = append(got, f.Adorns)
	}
	if !slices.Equal(got, []bool{true, true, false, false, false}) {
		t.Errorf("ornaments %v of %d", got, len(m.Files))
	}
}

// What is too much is left out, and the message is read.
func TestBadInput(t *testing.T) {
	nested := func(depth int) string {
		var b strings.Builder
		for i := range depth {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
		}
		return b.String() + "Content-Type: text/plain\n\ndeep\n"
	}
	big := func(size int) string {
		return "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n--b\nContent-Type: image/png\nContent-Disposition: attachment; filename=a.png\n\n" + strings.Repeat("A", size) + "\n--b--\n"
	}
	parts := "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n" + strings.Repeat("--b\nContent-Type: image/png\n\nx\n", 5000) + "--b--\n"
	tests := map[string]struct {
		raw  string
		said string
		cut  bool
	}{
		"10 MB":             {mailOf(big(10 << 20)), "hello", false},
		"50 MB":             {mailOf(big(50 << 20)), "hello", true},
		"10 MB of text":     {mailOf("\n" + strings.Repeat("сколько стоит? ", 400_000)), "", true},
		"1000 deep":         {mailOf(nested(1000)), "", true},
		"10 deep":           {mailOf(nested(10)), "deep", true}, // it ends early
		"5000 parts":        {mailOf(parts), "hello", true},
		"10 MB of header":   {mailOf("Subject: " + strings.Repeat("x", 10<<20) + "\n\nhello"), "", false},
		"200,000 headers":   {mailOf(strings.Repeat("X-A: b\n", 200_000) + "\nhello"), "hello", false},
		"one line of marks": {mailOf("\n" + strings.Repeat(">", 1<<20)), "", true},
		"html without end":  {mailOf("Content-Type: text/html\n\n" + strings.Repeat("<div><blockquote>", 100_000)), "", true},
		"tags without end":  {mailOf("Content-Type: text/html\n\n" + strings.Repeat("<p ", 400_000)), "", true},
		"comments, open":    {mailOf("Content-Type: text/html\n\n" + strings.Repeat("<!--a", 300_000)), "", true},
		"titles, open":      {mailOf("Content-Type: text/html\n\n" + strings.Repeat("<title>a", 180_000)), "", true},
		"noscripts":         {mailOf("Content-Type: text/html\n\n" + strings.Repeat("<noscript>", 100_000) + "hello"), "hello", false},
		"nothing":           {mailOf("\n"), "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := read(t, tt.raw)
			if tt.said != "" && m.Said != tt.said || m.Cut != tt.cut || m.From.Email != "olga@example.test" {
				t.Errorf("cut %v, from %q, %.100q", m.Cut, m.From.Email, m.Said)
			}
			whole(t, m)
		})
	}
	for name, raw := range map[string]string{"nothing": "", "empty lines": "\r\n\r\n", "no header": "hello there\r\nno colon\r\n", "bytes": "\xff\xfe\x00\x01"} {
		if m, err := reader.Read([]byte(raw), now); err == nil {
			t.Errorf("%s is read as %+v", name, m)
		}
	}
}

// whole holds a message to what its reader may rely on.
func whole(t *testing.T, m *Message) {
	t.Helper()
	if m.ID == "" || len(m.ID) > 256 || len(m.Said) > mostSaid || len(m.Text) > mostText || len(m.Subject) > 300 || len(m.Files) > mostFiles {
		t.Errorf("too long: id %d, said %d, text %d, subject %d, files %d", len(m.ID), len(m.Said), len(m.Text), len(m.Subject), len(m.Files))
	}
	for _, s := range []string{m.ID, m.Thread, m.From.Name, m.From.Email, m.Person.Name, m.Person.Email, m.Subject, m.Said, m.Text, m.Signature, m.Dated} {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			t.Errorf("%.100q is no text", s)
		}
	}
	for _, f := range m.Files {
		if !utf8.ValidString(f.Name+f.Type) || strings.ContainsAny(f.Name, "/\\\x00") {
			t.Errorf("%q is no file's name", f.Name)
		}
	}
}

// Whatever comes: no panic, no endless work, and only text.
func FuzzMail(f *testing.F) {
	samples, _ := filepath.Glob("testdata/*.eml")
	for _, name := range samples {
		if b, err := os.ReadFile(name); err == nil {
			f.Add(b)
		}
	}
	f.Add([]byte(mailOf("Content-Type: multipart/alternative; boundary=b\n\n--b\n\nhi\n--b\nContent-Type: text/html\n\n<p>x<blockquote>y</blockquote>\n--b--\n")))
	f.Add([]byte(mailOf("\nИмя: Анна\nТелефон: +7 999 000-00-11\n-- \nx\n> y\n01.03.2026 10:00, x пишет:\nz")))
	f.Add([]byte("From: MAILER-DAEMON@a\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\nAction: failed\n\nMessage-ID: <x@y>\n--b--"))
	f.Add([]byte("Content-Type: text/plain; charset=utf-7\nContent-Transfer-Encoding: base64\n\n////"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := reader.Read(raw, now)
		if err != nil {
			return
		}
		whole(t, m)
		again, err := reader.Read(bytes.Clone(raw), now.Add(time.Minute))
		if err != nil || again.ID != m.ID || again.Said != m.Said {
			t.Error("read again it is another")
		}
	})
}
