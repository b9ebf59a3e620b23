package bitrix24

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"

	"leadstream/sinks"
	"leadstream/streams"
)

// What the portal's columns hold. Longer values are cut here, for what it does with them is not said anywhere.
const (
	lineRunes  = 255   // TITLE, UTM_*
	nameRunes  = 50    // NAME
	multiRunes = 250   // one phone or e-mail
	textBytes  = 60000 // COMMENTS and a timeline comment: 65,535 bytes, less the portal's own additions
)

// dialect is one generation of the portal's methods.
type dialect struct {
	entity      int    // type id of the card: 1 lead, 2 deal
	entityName  string // in the timeline
	taskPrefix  string // in UF_CRM_TASK
	classic     bool   // crm.lead.*, UPPER_SNAKE
	add, list   string
	fieldMethod string
}

const contactType = 3

func dialectOf(set *Settings) dialect {
	d := dialect{entity: 1, entityName: "lead", taskPrefix: "L_", add: "crm.item.add", list: "crm.item.list", fieldMethod: "crm.item.fields"}
	if set.Entity == "deal" {
		d.entity, d.entityName, d.taskPrefix = 2, "deal", "D_"
	}
	if set.API == "lead" {
		d.classic, d.add, d.list, d.fieldMethod = true, "crm.lead.add", "crm.lead.list", "crm.lead.fields"
	}
	return d
}

// classicNames are the old generation's names of what we write and read.
var classicNames = map[string]string{
	"id": "ID", "title": "TITLE", "name": "NAME", "sourceId": "SOURCE_ID", "sourceDescription": "SOURCE_DESCRIPTION",
	"stageId": "STATUS_ID", "assignedById": "ASSIGNED_BY_ID", "comments": "COMMENTS", "originatorId": "ORIGINATOR_ID",
	"originId": "ORIGIN_ID", "createdTime": "DATE_CREATE", "utmSource": "UTM_SOURCE", "utmMedium": "UTM_MEDIUM",
	"utmCampaign": "UTM_CAMPAIGN", "utmContent": "UTM_CONTENT", "utmTerm": "UTM_TERM",
}

// named is a column's name in the dialect.
func (d dialect) named(column string) string {
	if d.classic {
		return classicNames[column]
	}
	return column
}

// card is what a lead becomes.
type card struct {
	fields map[string]any // by the dialect's names
	cut    bool           // some value did not fit: the whole goes into a comment
}

func (s *Sink) cardOf(l *streams.Lead) card {
	c := card{fields: map[string]any{}}
	put := func(column, value string, limit int) {
		short := cutRunes(value, limit)
		c.cut = c.cut || short != value
		if short != "" {
			c.fields[s.api.named(column)] = short
		}
	}
	put("title", s.titleOf(l), lineRunes)
	if s.api.entity == 1 {
		put("name", l.Name, nameRunes)
		c.cut = s.multi(c.fields, l) || c.cut
	}
	put("sourceId", s.sourceOf(l), nameRunes)
	put("sourceDescription", strings.Trim(l.Source+" / "+l.Channel, " /"), lineRunes)
	put("stageId", s.set.Stage, nameRunes)
	put("originatorId", s.set.Originator, lineRunes)
	put("originId", l.ID, lineRunes)
	for _, key := range []string{"source", "medium", "campaign", "content", "term"} {
		put("utm"+strings.ToUpper(key[:1])+key[1:], l.UTM[key], lineRunes)
	}
	if s.set.AssignedBy != 0 {
		c.fields[s.api.named("assignedById")] = s.set.AssignedBy
	}
	if s.set.Category != 0 && s.api.entity == 2 {
		c.fields["categoryId"] = s.set.Category
	}
	mapped := map[string]bool{}
	for from, to := range s.set.Fields {
		if v, ok := fieldOf(l, from); ok {
			c.fields[to] = v
			mapped[from] = true
		}
	}
	whole := s.details(l, mapped)
	if s.api.entity == 2 && !s.set.Contact { // a deal has no columns for phone and e-mail
		whole = s.whole(l)
	}
	short := cutBytes(whole, textBytes)
	c.cut = c.cut || short != whole
	if short != "" {
		c.fields[s.api.named("comments")] = short
	}
	return c
}

// multi adds phone, e-mail and messenger: always lists of objects, a portal drops anything else without a word.
func (s *Sink) multi(fields map[string]any, l *streams.Lead) (cut bool) {
	var all []any
	add := func(typ, valueType, value string) {
		if value == "" {
			return
		}
		short := cutRunes(value, multiRunes)
		cut = cut || short != value
		if s.api.classic {
			fields[typ] = []any{map[string]any{"VALUE": short, "VALUE_TYPE": valueType}}
			return
		}
		all = append(all, map[string]any{"typeId": typ, "valueType": valueType, "value": short})
	}
	add("PHONE", "MOBILE", l.Phone)
	add("EMAIL", "WORK", l.Email)
	if l.UserID != "" {
		switch channel := strings.ToUpper(l.Channel); channel {
		case "TELEGRAM", "VK", "VIBER":
			add("IM", channel, l.UserID)
		default:
			add("IM", "OTHER", strings.TrimLeft(l.Channel+":"+l.UserID, ":"))
		}
	}
	if all != nil {
		fields["fm"] = all
	}
	return cut
}

func (s *Sink) sourceOf(l *streams.Lead) string {
	for _, name := range []string{l.Source, l.Channel} {
		if id := s.set.Sources[name]; id != "" && name != "" {
			return id
		}
	}
	return s.set.Source
}

// parseTitle also tries the template, so that a misspelled field is found at start and not at the first lead.
func parseTitle(text string) (*template.Template, error) {
	t, err := template.New("title").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, err
	}
	return t, t.Execute(&strings.Builder{}, &streams.Lead{
		ID: streams.NewID("title"), Source: "site", Name: "Анна", Phone: "+79990000011", Email: "anna@example.test",
		Service: "service", Time: "18:00", Message: "message", Channel: "telegram", UserID: "12345", Hot: true,
	})
}

// titleOf never fails: a template that does not suit a certain lead must not keep that lead from the portal.
func (s *Sink) titleOf(l *streams.Lead) string {
	var b strings.Builder
	if err := s.title.Execute(&b, l); err != nil {
		s.log.Warn().Err(err).Str("lead", l.ID).Msg("the title template does not suit this lead")
		return say(s.env.Language).enquiry + " " + l.ID
	}
	if title := strings.Join(strings.Fields(b.String()), " "); title != "" {
		return title
	}
	return say(s.env.Language).enquiry + " " + l.ID
}

// leadFields are the lead's own fields that settings may map, by their wire names.
var leadFields = map[string]func(*streams.Lead) string{
	"id": func(l *streams.Lead) string { return l.ID }, "source": func(l *streams.Lead) string { return l.Source },
	"key": func(l *streams.Lead) string { return l.Key }, "name": func(l *streams.Lead) string { return l.Name },
	"phone": func(l *streams.Lead) string { return l.Phone }, "email": func(l *streams.Lead) string { return l.Email },
	"service": func(l *streams.Lead) string { return l.Service }, "time": func(l *streams.Lead) string { return l.Time },
	"message": func(l *streams.Lead) string { return l.Message }, "channel": func(l *streams.Lead) string { return l.Channel },
	"user_id": func(l *streams.Lead) string { return l.UserID }, "intent": func(l *streams.Lead) string { return l.Intent },
	"intents": func(l *streams.Lead) string { return strings.Join(l.Intents, ", ") }, "person": func(l *streams.Lead) string { return l.Person },
	"order": func(l *streams.Lead) string { return slotsOf(l).Order }, "product": func(l *streams.Lead) string { return slotsOf(l).Product },
	"branch":   func(l *streams.Lead) string { return slotsOf(l).Branch },
	"hot":      func(l *streams.Lead) string { return map[bool]string{true: "Y", false: "N"}[l.Hot] },
	"language": func(l *streams.Lead) string { return l.Language }, "level": func(l *streams.Lead) string { return l.Level },
	"score":       func(l *streams.Lead) string { return number(float64(l.Score)) },
	"hot_words":   func(l *streams.Lead) string { return strings.Join(l.HotWords, ", ") },
	"segments":    func(l *streams.Lead) string { return strings.Join(l.Segments, ", ") },
	"sentiment":   func(l *streams.Lead) string { return number(l.Sentiment) },
	"event":       func(l *streams.Lead) string { return l.Event },
	"priority":    func(l *streams.Lead) string { return fmt.Sprint(l.Priority) },
	"tags":        func(l *streams.Lead) string { return strings.Join(l.Tags, ", ") },
	"received_at": func(l *streams.Lead) string { return stamp(l.ReceivedAt) },
	"event_at":    func(l *streams.Lead) string { return stamp(l.EventAt) },
}

func slotsOf(l *streams.Lead) streams.Slots {
	if l.Slots == nil {
		return streams.Slots{}
	}
	return *l.Slots
}

// fieldOf is the value of one of the lead's own fields, or of those that came besides.
func fieldOf(l *streams.Lead, name string) (string, bool) {
	if f := leadFields[name]; f != nil {
		v := f(l)
		return v, v != ""
	}
	raw, ok := l.Fields[name]
	return plain(raw), ok
}

// plain shows a JSON value as a person would write it.
func plain(raw json.RawMessage) string {
	var str string
	if json.Unmarshal(raw, &str) == nil {
		return str
	}
	return string(raw)
}

// details is what has no column of its own.
func (s *Sink) details(l *streams.Lead, mapped map[string]bool) string {
	w := say(s.env.Language)
	lines := []string{l.Message}
	line := func(label, value string) {
		if value != "" {
			lines = append(lines, label+": "+value)
		}
	}
	line(w.service, l.Service)
	line(w.time, l.Time)
	line(w.files, s.filesText(l))
	line(w.wants, w.wanted(l.Intents...))
	line(w.person, w.because(l.Person))
	particulars := slotsOf(l)
	line(w.order, particulars.Order)
	line(w.product, particulars.Product)
	line(w.branch, particulars.Branch)
	line(w.level, l.Level)
	line(w.tags, strings.Join(l.Tags, ", "))
	line(w.score, sinks.ScoreText(l, s.env.Language))
	line(w.segments, strings.Join(l.Segments, ", "))
	if l.Event != "" && l.Priority != 0 {
		line(w.priority, fmt.Sprint(l.Priority))
	}
	for _, k := range slices.Sorted(maps.Keys(l.Fields)) {
		if !mapped[k] {
			line(k, plain(l.Fields[k]))
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// whole is all that the customer said, for a comment.
func (s *Sink) whole(l *streams.Lead) string {
	w := say(s.env.Language)
	lines := []string{}
	for _, p := range [][2]string{{w.name, l.Name}, {w.phone, l.Phone}, {w.email, l.Email}, {w.channel, strings.Trim(l.Channel+" "+l.UserID, " ")}, {w.source, l.Source}} {
		if p[1] != "" {
			lines = append(lines, p[0]+": "+p[1])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(l.UTM)) {
		lines = append(lines, "utm_"+k+": "+l.UTM[k])
	}
	return strings.TrimSpace(strings.Join(lines, "\n") + "\n" + s.details(l, nil))
}

// marker makes a comment or a task findable. part tells several comments of one lead apart.
func marker(lead string, part int) string {
	if part > 0 {
		return fmt.Sprintf("[ls:%s/%d]", lead, part+1)
	}
	return "[ls:" + lead + "]"
}

// defused keeps a customer from writing markers.
func defused(text string) string { return strings.ReplaceAll(text, "[ls:", "[ls :") }

// cutRunes cuts a text to n runes.
func cutRunes(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// cutBytes cuts a text to n bytes, at the border of a rune.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for at := n; at > n-utf8.UTFMax; at-- {
		if utf8.RuneStart(s[at]) {
			return s[:at]
		}
	}
	return s[:n]
}

// split cuts a text into parts of at most n bytes.
func split(s string, n int) []string {
	var parts []string
	for len(s) > n {
		part := cutBytes(s, n)
		parts, s = append(parts, part), s[len(part):]
	}
	return append(parts, s)
}

func number(v float64) string {
	if v == 0 {
		return ""
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}
