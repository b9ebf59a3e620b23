package processors

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
	"time"

	"leadstream/streams"
)

// maxCustomers is how many a message names: who has more to call works from the file.
const maxCustomers = 10

var tellFrames = map[string]*template.Template{
	"ru": template.Must(template.New("ru").Parse(
		`{{range .Heads}}{{.}}
{{end}}{{if .Customers}}Позвоните клиентам:
{{range .Customers}}{{.}}
{{end}}{{end}}{{with .More}}и ещё {{.}}, все записаны в CSV.
{{end}}{{range .Errors}}{{.}}
{{end}}{{if .NoRows}}Внимание: CSV не пишется, проверьте диск.{{end}}`)),
	"en": template.Must(template.New("en").Parse(
		`{{range .Heads}}{{.}}
{{end}}{{if .Customers}}Call these customers:
{{range .Customers}}{{.}}
{{end}}{{end}}{{with .More}}and {{.}} more, all are in the CSV.
{{end}}{{range .Errors}}{{.}}
{{end}}{{if .NoRows}}Attention: the CSV cannot be written, check the disk.{{end}}`)),
}

// troubles are their words, in the order in which they are told.
var troubles = []struct {
	trouble Trouble
	ru, en  string
}{
	{Dead, "Не доставлено заявок", "Leads not delivered"},
	{Late, "Заявок задерживается", "Leads delayed"},
	{Held, "Заявок ждёт вашего решения", "Leads that wait for your decision"},
	{Quarantine, "Обращений не удалось прочесть", "Requests that could not be read"},
}

type tellFrame struct {
	Heads     []string
	Customers []string
	More      int
	Errors    []string
	NoRows    bool
}

// compose writes one message of all cases.
func (t *Teller) compose(cases []Case, noRows bool) Message {
	f := tellFrame{NoRows: noRows}
	for _, tr := range troubles {
		if head := t.headOf(tr.trouble, t.say(tr.ru, tr.en), cases); head != "" {
			f.Heads = append(f.Heads, head)
		}
	}
	customers := customersOf(cases)
	for _, l := range customers[:min(len(customers), maxCustomers)] {
		f.Customers = append(f.Customers, fmt.Sprintf("%d. %s", len(f.Customers)+1, t.customer(l)))
	}
	f.More = len(customers) - len(f.Customers)
	f.Errors = firstErrors(cases)
	var b strings.Builder
	if err := tellFrames[t.say("ru", "en")].Execute(&b, f); err != nil {
		b.WriteString(strings.Join(f.Heads, "\n"))
	}
	var keys []string
	for _, c := range cases {
		keys = append(keys, c.key())
	}
	slices.Sort(keys)
	return Message{
		ID: streams.NewID(append([]string{"tell"}, keys...)...), Subject: strings.TrimSuffix(f.Heads[0], ":"),
		Text: strings.TrimSpace(b.String()), Short: t.sms(len(cases), customers), Urgent: true,
	}
}

// headOf counts the cases of one trouble by destination: "Не доставлено заявок: 12 (crm 10, history 2)".
func (t *Teller) headOf(trouble Trouble, words string, cases []Case) string {
	n, by := 0, map[string]int{}
	oldest := time.Time{}
	for _, c := range cases {
		if c.Trouble != trouble {
			continue
		}
		n++
		if c.Destination != "" && trouble != Quarantine {
			by[c.Destination]++
		}
		if oldest.IsZero() || c.Since.Before(oldest) {
			oldest = c.Since
		}
	}
	if n == 0 {
		return ""
	}
	var parts []string
	for _, d := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%s %d", d, by[d]))
	}
	head := fmt.Sprintf("%s: %d", words, n)
	if len(parts) > 0 {
		head += " (" + strings.Join(parts, ", ") + ")"
	}
	zone := t.Zone
	if zone == nil {
		zone = time.UTC
	}
	return head + t.say(", с ", ", since ") + oldest.In(zone).Format("02.01 15:04")
}

// customersOf are the leads to call, each once, hot ones first.
func customersOf(cases []Case) (leads []*streams.Lead) {
	seen := map[string]bool{}
	for _, hot := range []bool{true, false} {
		for _, c := range cases {
			if c.Lead != nil && c.Lead.Hot == hot && !seen[c.Lead.ID] {
				seen[c.Lead.ID] = true
				leads = append(leads, c.Lead)
			}
		}
	}
	return leads
}

// customer is what is needed to call: name, contact, service, time.
func (t *Teller) customer(l *streams.Lead) string {
	var parts []string
	for _, p := range []string{l.Name, contactOf(l), l.Service, l.Time} {
		if p = oneLine(p, 60); p != "" {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		parts = []string{t.say("без имени и контакта, заявка ", "no name or contact, lead ") + l.ID}
	}
	if l.Hot {
		parts[0] = t.say("СРОЧНО ", "URGENT ") + parts[0]
	}
	return strings.Join(parts, ", ")
}

func contactOf(l *streams.Lead) string {
	switch {
	case l.Phone != "":
		return l.Phone
	case l.Email != "":
		return l.Email
	case l.UserID != "":
		return l.Channel + " " + l.UserID
	}
	return ""
}

// sms is the message in one segment: how many, and whom to call first.
func (t *Teller) sms(n int, customers []*streams.Lead) string {
	contact := ""
	for _, l := range customers {
		if contact = oneLine(contactOf(l), 24); contact != "" {
			break
		}
	}
	switch {
	case contact == "":
		return OneSMS(t.say(fmt.Sprintf("Заявок не дошло: %d. Смотрите консоль и CSV", n), fmt.Sprintf("%d leads stuck. See the console and the CSV", n)))
	case len(customers) == 1:
		return OneSMS(strings.TrimSpace(t.say("Заявка не дошла. Позвоните: ", "A lead is stuck. Call: ") + contact + " " + oneLine(customers[0].Name, 24)))
	}
	return OneSMS(t.say(fmt.Sprintf("Не дошло: %d. Звоните %s, остальные в CSV", n, contact), fmt.Sprintf("%d leads stuck. Call %s, the others are in the CSV", n, contact)))
}

// firstErrors are one error of each destination: in an outage they are all alike.
func firstErrors(cases []Case) (list []string) {
	seen := map[string]bool{}
	for _, c := range cases {
		from := c.Destination
		if c.Trouble == Quarantine {
			from = ""
		}
		if c.Err == "" || seen[from] || len(list) == 3 {
			continue
		}
		seen[from] = true
		list = append(list, strings.TrimPrefix(from+": "+oneLine(c.Err, 150), ": "))
	}
	return list
}

// oneLine is a text without line breaks, cut to n characters: what a customer wrote must not look like our own lines.
func oneLine(text string, n int) string {
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > n {
		runes = append(runes[:n-1], '…')
	}
	return string(runes)
}

func (t *Teller) say(ru, en string) string {
	if t.Language == "en" {
		return en
	}
	return ru
}
