package sinks

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"leadstream/streams"
)

// Row is one line of a CSV file: a lead and, for dead letters, what became of it.
type Row struct {
	Lead        *streams.Lead
	Destination string    // dead letters: where it could not be delivered
	Error       string    // dead letters: the last error, without secrets
	Attempts    int       // dead letters: how often it was tried
	At          time.Time // when the row is written; chooses the file of the day
	Unsure      time.Time // not zero: the row may have been written then, look before writing it
}

// column is one column: its title in each language and its cell.
type column struct {
	name, ru, en string
	cell         func(Row) string
}

var columns = []column{
	{"id", "id", "id", func(r Row) string { return r.Lead.ID }},
	{"at", "Записано", "Written", nil},
	{"received_at", "Получена", "Received", nil},
	{"source", "Источник", "Source", func(r Row) string { return r.Lead.Source }},
	{"name", "Имя", "Name", func(r Row) string { return r.Lead.Name }},
	{"phone", "Телефон", "Phone", func(r Row) string { return r.Lead.Phone }},
	{"email", "Почта", "E-mail", func(r Row) string { return r.Lead.Email }},
	{"service", "Услуга", "Service", func(r Row) string { return r.Lead.Service }},
	{"time", "Желаемое время", "Wished time", func(r Row) string { return r.Lead.Time }},
	{"message", "Сообщение", "Message", func(r Row) string { return r.Lead.Message }},
	{"channel", "Канал", "Channel", func(r Row) string { return r.Lead.Channel }},
	{"user_id", "Клиент в канале", "Customer in channel", func(r Row) string { return r.Lead.UserID }},
	{"utm_source", "utm_source", "utm_source", func(r Row) string { return r.Lead.UTM["source"] }},
	{"utm_medium", "utm_medium", "utm_medium", func(r Row) string { return r.Lead.UTM["medium"] }},
	{"utm_campaign", "utm_campaign", "utm_campaign", func(r Row) string { return r.Lead.UTM["campaign"] }},
	{"utm_content", "utm_content", "utm_content", func(r Row) string { return r.Lead.UTM["content"] }},
	{"utm_term", "utm_term", "utm_term", func(r Row) string { return r.Lead.UTM["term"] }},
	{"intent", "Намерение", "Intent", func(r Row) string { return r.Lead.Intent }},
	{"intents", "Намерения", "Intents", func(r Row) string { return strings.Join(r.Lead.Intents, ", ") }},
	{"person", "Нужен человек", "Needs a person", func(r Row) string { return r.Lead.Person }},
	{"order", "Номер заказа", "Order", func(r Row) string { return slotsOf(r.Lead).Order }},
	{"product", "Товар", "Product", func(r Row) string { return slotsOf(r.Lead).Product }},
	{"branch", "Филиал", "Branch", func(r Row) string { return slotsOf(r.Lead).Branch }},
	{"hot", "Горячая", "Hot", nil},
	{"level", "Уровень клиента", "Customer level", func(r Row) string { return r.Lead.Level }},
	{"language", "Язык", "Language", func(r Row) string { return r.Lead.Language }},
	{"priority", "Приоритет", "Priority", func(r Row) string { return strconv.Itoa(r.Lead.Priority) }},
	{"tags", "Метки", "Tags", func(r Row) string { return strings.Join(r.Lead.Tags, ", ") }},
	{"sentiment", "Довольство", "Sentiment", func(r Row) string { return score(r.Lead.Sentiment) }},
	{"score", "Вероятность продажи", "Chance of a sale", func(r Row) string { return score(float64(r.Lead.Score)) }},
	{"hot_words", "Горячие слова", "Hot words", func(r Row) string { return strings.Join(r.Lead.HotWords, ", ") }},
	{"segments", "Сегменты", "Segments", func(r Row) string { return strings.Join(r.Lead.Segments, ", ") }},
	{"event", "Событие", "Event", func(r Row) string { return r.Lead.Event }},
	{"repeat_of", "Повтор к", "Repeats", func(r Row) string { return r.Lead.RepeatOf }},
	{"problems", "Проверьте вручную", "Check by hand", func(r Row) string { return strings.Join(r.Lead.Problems, "\n") }},
	{"fields", "Прочие поля", "Other fields", func(r Row) string { return otherFields(r.Lead.Fields) }},
	{"destination", "Куда не доставлена", "Not delivered to", func(r Row) string { return r.Destination }},
	{"attempts", "Попыток", "Attempts", func(r Row) string { return strconv.Itoa(r.Attempts) }},
	{"error", "Ошибка", "Error", func(r Row) string { return r.Error }},
}

// leadColumns are the default columns of a csv destination, DeadColumns those of the file of undelivered leads.
var leadColumns = []string{"id", "received_at", "source", "name", "phone", "email", "service", "time", "message", "channel", "hot", "repeat_of", "problems"}

// DeadColumns are the columns of the file in which undelivered leads are kept for handling by hand.
var DeadColumns = []string{"id", "at", "destination", "attempts", "error", "received_at", "source", "name", "phone", "email", "service", "time", "message", "channel", "user_id", "fields"}

func slotsOf(l *streams.Lead) streams.Slots {
	if l.Slots == nil {
		return streams.Slots{}
	}
	return *l.Slots
}

// ColumnNames lists the columns that a CSV file may have, besides fields.NAME.
func ColumnNames() []string {
	var names []string
	for _, c := range columns {
		names = append(names, c.name)
	}
	return names
}

func knownColumn(name string) bool {
	field, ok := strings.CutPrefix(name, "fields.")
	return ok && field != "" || slices.Contains(ColumnNames(), name)
}

func (f *CSVFile) header() []string {
	titles := make([]string, len(f.columns))
	for i, name := range f.columns {
		titles[i] = strings.TrimPrefix(name, "fields.")
		for _, c := range columns {
			if c.name == name && f.language == "ru" {
				titles[i] = c.ru
			} else if c.name == name {
				titles[i] = c.en
			}
		}
	}
	return titles
}

func (f *CSVFile) cells(r Row) []string {
	cells := make([]string, len(f.columns))
	for i, name := range f.columns {
		cells[i] = f.cell(name, r)
	}
	return cells
}

func (f *CSVFile) cell(name string, r Row) string {
	switch name {
	case "at":
		return f.clock(r.At)
	case "received_at":
		return f.clock(r.Lead.ReceivedAt)
	case "hot":
		return yesNo(r.Lead.Hot, f.language)
	case "phone":
		return phoneCell(r.Lead.Phone, f.excelPhones)
	}
	if field, ok := strings.CutPrefix(name, "fields."); ok {
		return SafeCell(plain(r.Lead.Fields[field]))
	}
	for _, c := range columns {
		if c.name == name {
			return SafeCell(c.cell(r))
		}
	}
	return ""
}

func (f *CSVFile) clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(f.zone).Format("2006-01-02 15:04:05")
}

// phoneCell leaves a number in E.164 as it is: it has digits only after its plus, so it can do no harm as a formula,
// and a quote before it would spoil it for every program that dials it.
func phoneCell(phone string, excel bool) string {
	digits, ok := strings.CutPrefix(phone, "+")
	if !ok || len(digits) < 7 || len(digits) > 15 || strings.Trim(digits, "0123456789") != "" {
		return SafeCell(phone)
	}
	if excel {
		return `="` + phone + `"`
	}
	return phone
}

// SafeCell makes outside text harmless in a spreadsheet: an apostrophe before each line that would start a formula,
// blanks skipped as spreadsheets skip them. Lines end in LF alone: CR LF is the end of a row, and nothing else is.
func SafeCell(s string) string {
	lines := strings.Split(cellText(s), "\n")
	for i, line := range lines {
		bare := strings.TrimLeftFunc(line, blank)
		if strings.HasPrefix(line, "\t") || bare != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(bare)[0]) {
			lines[i] = "'" + line
		}
	}
	return strings.Join(lines, "\n")
}

func cellText(s string) string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, s)
}

// blank is white space of any sort, NBSP with it, and characters without width.
func blank(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

// encode is RFC 4180 with every cell quoted.
func encode(b *strings.Builder, cells []string, separator string) {
	for i, c := range cells {
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(`"` + strings.ReplaceAll(c, `"`, `""`) + `"`)
	}
	b.WriteString("\r\n")
}

func yesNo(b bool, language string) string {
	switch {
	case b && language == "ru":
		return "да"
	case b:
		return "yes"
	}
	return ""
}

func score(v float64) string {
	if v == 0 {
		return ""
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// plain is a JSON string without its quotes, and any other value as it came.
func plain(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

func otherFields(fields map[string]json.RawMessage) string {
	if len(fields) == 0 {
		return ""
	}
	b, err := json.Marshal(fields)
	if err != nil { // a field that is not JSON: keep what is there
		var parts []string
		for name, raw := range fields {
			parts = append(parts, name+": "+string(raw))
		}
		slices.Sort(parts)
		return strings.Join(parts, "\n")
	}
	return string(b)
}
