package streams

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A lead is written and read four times on its way, which with encoding/json was a quarter of all the time that
// leadstream needs for it. So the form in which leads are written here has a writer and a reader of its own. Whatever
// is not exactly of that form, say what a program added, goes to encoding/json: the format is still that of Lead's tags.

// encodeLead is json.Marshal of a lead.
func encodeLead(l *Lead) ([]byte, error) { return appendLead(make([]byte, 0, 1024), l) }

// appendLead appends what encodeLead returns.
func appendLead(b []byte, l *Lead) ([]byte, error) {
	w := leadWriter{b: append(b, '{')}
	var few [16]string
	w.text("id", l.ID)
	w.text("source", l.Source)
	w.text("key", l.Key)
	w.text("home", l.Home)
	w.time("received_at", l.ReceivedAt)
	w.time("event_at", l.EventAt)
	w.text("name", l.Name)
	w.text("phone", l.Phone)
	w.text("email", l.Email)
	w.text("service", l.Service)
	w.text("time", l.Time)
	w.text("message", l.Message)
	w.text("channel", l.Channel)
	w.text("user_id", l.UserID)
	if len(l.UTM) > 0 {
		w.object("utm", sortedKeys(few[:0], l.UTM), func(k string) { w.quote(l.UTM[k]) })
	}
	if len(l.Fields) > 0 {
		w.object("fields", sortedKeys(few[:0], l.Fields), func(k string) { w.raw(l.Fields[k]) })
	}
	w.media(l.Media)
	w.text("ref", l.Ref)
	w.text("event", l.Event)
	w.text("about", l.About)
	w.list("problems", l.Problems)
	w.text("repeat_of", l.RepeatOf)
	w.text("intent", l.Intent)
	w.list("intents", l.Intents)
	w.float("confidence", l.Confidence)
	if l.Answered {
		w.key("answered")
		w.b = append(w.b, "true"...)
	}
	w.text("person", l.Person)
	w.slots(l.Slots)
	if l.Hot {
		w.key("hot")
		w.b = append(w.b, "true"...)
	}
	w.text("language", l.Language)
	w.text("level", l.Level)
	w.int("priority", l.Priority)
	w.list("tags", l.Tags)
	w.int("score", l.Score)
	w.list("reasons", l.Reasons)
	w.list("hot_words", l.HotWords)
	w.list("segments", l.Segments)
	w.float("sentiment", l.Sentiment)
	return append(w.b, '}'), w.err
}

// sortedKeys appends the keys of m in order.
func sortedKeys[V any](keys []string, m map[string]V) []string {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

type leadWriter struct {
	b   []byte
	err error
}

func (w *leadWriter) key(k string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(append(append(w.b, '"'), k...), '"', ':')
}

func (w *leadWriter) text(k, v string) {
	if v != "" {
		w.key(k)
		w.quote(v)
	}
}

func (w *leadWriter) int(k string, v int) {
	if v != 0 {
		w.key(k)
		w.b = strconv.AppendInt(w.b, int64(v), 10)
	}
}

func (w *leadWriter) float(k string, v float64) {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		w.err = fmt.Errorf("lead: %s is no number", k)
	case v != 0:
		w.key(k)
		w.b = strconv.AppendFloat(w.b, v, 'f', -1, 64)
	}
}

func (w *leadWriter) slots(s *Slots) {
	if s == nil {
		return
	}
	w.open("slots")
	if t := s.When; t != nil {
		w.open("when")
		w.moment("start", t.Start)
		w.moment("end", t.End)
		w.key("kind")
		w.quote(t.Kind)
		w.b = append(w.b, '}')
	}
	w.text("order", s.Order)
	w.text("product", s.Product)
	w.text("branch", s.Branch)
	if p := s.Price; p != nil {
		w.open("price")
		w.int("from", p.From)
		w.int("to", p.To)
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, '}')
}

func (w *leadWriter) media(all []Media) {
	if len(all) == 0 {
		return
	}
	w.key("media")
	for i := range all {
		m := &all[i]
		w.b = append(w.b, "[,"[min(i, 1)], '{')
		w.key("kind")
		w.quote(m.Kind)
		w.text("name", m.Name)
		w.text("type", m.Type)
		w.int("size", int(m.Size))
		w.text("ref", m.Ref)
		w.text("url", m.URL)
		w.text("hash", m.Hash)
		w.text("problem", m.Problem)
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
}

// open begins an object.
func (w *leadWriter) open(k string) {
	w.key(k)
	w.b = append(w.b, '{')
}

func (w *leadWriter) time(k string, t time.Time) {
	if !t.IsZero() {
		w.moment(k, t)
	}
}

func (w *leadWriter) moment(k string, t time.Time) {
	w.key(k)
	var err error
	w.b = append(w.b, '"')
	if w.b, err = t.AppendText(w.b); err != nil {
		w.err = fmt.Errorf("lead: %s: %w", k, err)
	}
	w.b = append(w.b, '"')
}

func (w *leadWriter) list(k string, vs []string) {
	if len(vs) == 0 {
		return
	}
	w.key(k)
	for i, v := range vs {
		w.b = append(w.b, "[,"[min(i, 1)])
		w.quote(v)
	}
	w.b = append(w.b, ']')
}

func (w *leadWriter) object(k string, keys []string, value func(k string)) {
	w.key(k)
	for i, k := range keys {
		w.b = append(w.b, "{,"[min(i, 1)])
		w.quote(k)
		w.b = append(w.b, ':')
		value(k)
	}
	w.b = append(w.b, '}')
}

func (w *leadWriter) quote(s string) {
	if !utf8.ValidString(s) {
		q, _ := json.Marshal(s) // a string always has a JSON
		w.b = append(w.b, q...)
		return
	}
	w.b = append(w.b, '"')
	for n := plainEnd(s); n < len(s); n = plainEnd(s) {
		w.b = append(append(w.b, s[:n]...), '\\')
		switch c := s[n]; c {
		case '"', '\\':
			w.b = append(w.b, c)
		case '\n':
			w.b = append(w.b, 'n')
		default:
			w.b = fmt.Appendf(w.b, "u%04x", c)
		}
		s = s[n+1:]
	}
	w.b = append(append(w.b, s...), '"')
}

// raw adds a value that came from outside. What is no JSON would make the whole lead unreadable.
func (w *leadWriter) raw(v json.RawMessage) {
	if len(v) == 0 {
		v = json.RawMessage("null")
	}
	if n := len(v) - 1; (n < 1 || v[0] != '"' || plainEnd(v[1:]) != n-1 || v[n] != '"') && !json.Valid(v) {
		w.err = errors.New("lead: a field is no JSON")
	}
	w.b = append(w.b, v...)
}

// plainEnd is how far s can stand in a JSON string as it is.
func plainEnd[T string | json.RawMessage](s T) int {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			return i
		}
	}
	return len(s)
}

// decodeLead is json.Unmarshal into a lead. Its texts share line's memory.
func decodeLead(line string, l *Lead) error {
	r := leadReader{rest: line}
	*l = Lead{}
	if utf8.ValidString(line) && r.lead(l) && r.rest == "" {
		return nil
	}
	*l = Lead{}
	return json.Unmarshal([]byte(line), l)
}

// decodeBrief is decodeLead of what the ledger needs of a lead: what it is called, whose it is, what it repeats. At a
// start every lead of the journal is read, most of them for the last time. line is as encodeLead wrote it.
func decodeBrief(line string, l *Lead) error {
	r := leadReader{rest: line}
	*l = Lead{}
	if r.brief(l) && r.rest == "" {
		return nil
	}
	return decodeLead(line, l)
}

// leadReader reads what encodeLead writes. Its methods answer false for everything else.
type leadReader struct {
	rest   string
	shared bool // an event's texts may share rest's memory
}

func (r *leadReader) lead(l *Lead) bool {
	return r.members(func(key string) (ok bool) {
		switch key {
		case "id":
			l.ID, ok = r.text()
		case "source":
			l.Source, ok = r.text()
		case "key":
			l.Key, ok = r.text()
		case "home":
			l.Home, ok = r.text()
		case "received_at":
			l.ReceivedAt, ok = r.time()
		case "event_at":
			l.EventAt, ok = r.time()
		case "name":
			l.Name, ok = r.text()
		case "phone":
			l.Phone, ok = r.text()
		case "email":
			l.Email, ok = r.text()
		case "service":
			l.Service, ok = r.text()
		case "time":
			l.Time, ok = r.text()
		case "message":
			l.Message, ok = r.text()
		case "channel":
			l.Channel, ok = r.text()
		case "user_id":
			l.UserID, ok = r.text()
		case "utm":
			if l.UTM == nil { // else it comes twice
				l.UTM = map[string]string{}
				ok = r.members(func(k string) (ok bool) { l.UTM[k], ok = r.text(); return ok })
			}
		case "fields":
			if l.Fields == nil {
				l.Fields = map[string]json.RawMessage{}
				ok = r.members(func(k string) (ok bool) { l.Fields[k], ok = r.raw(); return ok })
			}
		case "media":
			if l.Media == nil {
				l.Media, ok = r.media()
			}
		case "ref":
			l.Ref, ok = r.text()
		case "event":
			l.Event, ok = r.text()
		case "about":
			l.About, ok = r.text()
		case "problems":
			if l.Problems == nil {
				l.Problems, ok = r.list()
			}
		case "repeat_of":
			l.RepeatOf, ok = r.text()
		case "intent":
			l.Intent, ok = r.text()
		case "intents":
			if l.Intents == nil {
				l.Intents, ok = r.list()
			}
		case "confidence":
			l.Confidence, ok = r.float()
		case "answered":
			l.Answered, ok = true, r.skip("true")
		case "person":
			l.Person, ok = r.text()
		case "slots":
			if l.Slots == nil {
				l.Slots = &Slots{}
				ok = r.slots(l.Slots)
			}
		case "hot":
			l.Hot, ok = true, r.skip("true")
		case "language":
			l.Language, ok = r.text()
		case "level":
			l.Level, ok = r.text()
		case "priority":
			l.Priority, ok = r.number()
		case "tags":
			if l.Tags == nil {
				l.Tags, ok = r.list()
			}
		case "score":
			l.Score, ok = r.number()
		case "reasons":
			if l.Reasons == nil {
				l.Reasons, ok = r.list()
			}
		case "hot_words":
			if l.HotWords == nil {
				l.HotWords, ok = r.list()
			}
		case "segments":
			if l.Segments == nil {
				l.Segments, ok = r.list()
			}
		case "sentiment":
			l.Sentiment, ok = r.float()
		}
		return ok
	})
}

func (r *leadReader) slots(s *Slots) bool {
	return r.members(func(key string) (ok bool) {
		switch key {
		case "when":
			if s.When == nil {
				s.When = &When{}
				ok = r.when(s.When)
			}
		case "order":
			s.Order, ok = r.text()
		case "product":
			s.Product, ok = r.text()
		case "branch":
			s.Branch, ok = r.text()
		case "price":
			if s.Price == nil {
				s.Price = &Price{}
				ok = r.price(s.Price)
			}
		}
		return ok
	})
}

func (r *leadReader) media() (all []Media, ok bool) {
	for sep := "["; sep == "[" || !r.skip("]"); sep = "," {
		if !r.skip(sep) {
			return nil, false
		}
		var m Media
		ok := r.members(func(key string) (ok bool) {
			switch key {
			case "kind":
				m.Kind, ok = r.text()
			case "name":
				m.Name, ok = r.text()
			case "type":
				m.Type, ok = r.text()
			case "size":
				var n int
				n, ok = r.number()
				m.Size = int64(n)
			case "ref":
				m.Ref, ok = r.text()
			case "url":
				m.URL, ok = r.text()
			case "hash":
				m.Hash, ok = r.text()
			case "problem":
				m.Problem, ok = r.text()
			}
			return ok
		})
		if !ok {
			return nil, false
		}
		all = append(all, m)
	}
	return all, true
}

func (r *leadReader) when(w *When) bool {
	return r.members(func(key string) (ok bool) {
		switch key {
		case "start":
			w.Start, ok = r.time()
		case "end":
			w.End, ok = r.time()
		case "kind":
			w.Kind, ok = r.text()
		}
		return ok
	})
}

func (r *leadReader) price(p *Price) bool {
	return r.members(func(key string) (ok bool) {
		switch key {
		case "from":
			p.From, ok = r.number()
		case "to":
			p.To, ok = r.number()
		}
		return ok
	})
}

func (r *leadReader) brief(l *Lead) bool {
	return r.members(func(key string) (ok bool) {
		var into *string
		switch key {
		case "id":
			into = &l.ID
		case "source":
			into = &l.Source
		case "phone":
			into = &l.Phone
		case "email":
			into = &l.Email
		case "channel":
			into = &l.Channel
		case "user_id":
			into = &l.UserID
		case "repeat_of":
			into = &l.RepeatOf
		default:
			return r.skipValue()
		}
		*into, ok = r.text()
		return ok && utf8.ValidString(*into)
	})
}

// skipValue goes to the end of a value that is known to be JSON.
func (r *leadReader) skipValue() bool {
	depth := 0
	for i := 0; i < len(r.rest); i++ {
		switch r.rest[i] {
		case '"':
			n := textEnd(r.rest[i+1:])
			if n < 0 {
				return false
			}
			i += n + 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if depth < 0 || depth == 0 && r.rest[i] == ',' {
			r.rest = r.rest[i:]
			return true
		}
	}
	return false
}

// textEnd is where the quote is that ends a string whose first character s begins with; -1 without one.
func textEnd(s string) int {
	for from := 0; ; {
		n := strings.IndexByte(s[from:], '"')
		if n < 0 {
			return -1
		}
		end := from + n
		escapes := n - len(strings.TrimRight(s[from:end], `\`))
		if escapes%2 == 0 {
			return end
		}
		from = end + 1
	}
}

func (r *leadReader) skip(s string) (ok bool) {
	r.rest, ok = strings.CutPrefix(r.rest, s)
	return ok
}

// members reads an object that has some, and calls value where that of each begins.
func (r *leadReader) members(value func(key string) bool) bool {
	for sep := "{"; sep == "{" || !r.skip("}"); sep = "," {
		if !r.skip(sep) {
			return false
		}
		if key, ok := r.text(); !ok || !r.skip(":") || !value(key) {
			return false
		}
	}
	return true
}

func (r *leadReader) text() (string, bool) {
	if !r.skip(`"`) {
		return "", false
	}
	end := plainEnd(r.rest)
	for end < len(r.rest) && r.rest[end] == '\\' {
		end = min(end+2, len(r.rest))
		end += plainEnd(r.rest[end:])
	}
	if end >= len(r.rest) || r.rest[end] != '"' {
		return "", false
	}
	s := r.rest[:end]
	r.rest = r.rest[end+1:]
	if strings.IndexByte(s, '\\') < 0 {
		return s, true
	}
	return unescape(s)
}

func unescape(s string) (text string, ok bool) {
	err := json.Unmarshal([]byte(`"`+s+`"`), &text)
	return text, err == nil
}

func (r *leadReader) time() (t time.Time, ok bool) {
	s, ok := r.text()
	return t, ok && t.UnmarshalText([]byte(s)) == nil
}

func (r *leadReader) list() (all []string, ok bool) {
	for sep := "["; sep == "[" || !r.skip("]"); sep = "," {
		if !r.skip(sep) {
			return nil, false
		}
		s, ok := r.text()
		if !ok {
			return nil, false
		}
		all = append(all, s)
	}
	return all, true
}

// digits is what stands before the next member.
func (r *leadReader) digits() (text string, ok bool) {
	end := strings.IndexAny(r.rest, ",}")
	if end <= 0 {
		return "", false
	}
	text, r.rest = r.rest[:end], r.rest[end:]
	return text, true
}

// float reads one as float writes it.
func (r *leadReader) float() (v float64, ok bool) {
	text, ok := r.digits()
	if !ok || text[0] < '0' || text[0] > '9' {
		return 0, false
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil && strconv.FormatFloat(v, 'f', -1, 64) == text
}

func (r *leadReader) number() (n int, ok bool) {
	text, ok := r.digits()
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && strconv.Itoa(n) == text
}

// raw reads a string, a number or a word; for lists and objects encoding/json is asked.
func (r *leadReader) raw() (json.RawMessage, bool) {
	before := r.rest
	if strings.HasPrefix(before, `"`) {
		_, ok := r.text()
		return json.RawMessage(before[:len(before)-len(r.rest)]), ok
	}
	end := strings.IndexAny(before, ",}[]{\": \t\n\r")
	if end <= 0 {
		return nil, false
	}
	v := json.RawMessage(before[:end])
	r.rest = before[end:]
	return v, json.Valid(v)
}
