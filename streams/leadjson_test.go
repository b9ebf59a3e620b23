package streams

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fullLead has every field set, also those that will be added one day.
func fullLead(t *testing.T) *Lead {
	t.Helper()
	var l Lead
	v := reflect.ValueOf(&l).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		switch f := v.Field(i).Addr().Interface().(type) {
		case *string:
			*f = "поле " + name
		case *bool:
			*f = true
		case *int:
			*f = 40 + i
		case *float64:
			*f = 0.25 * float64(i)
		case *time.Time:
			*f = time.Date(2026, 3, i+1, 10, 0, 0, 120_000_000, time.UTC)
		case **Slots:
			at := time.Date(2026, 3, i%28+1, 15, 30, 0, 0, time.FixedZone("", 3*3600))
			*f = &Slots{When: &When{at, at.Add(time.Hour), "part_of_day"}, Order: "А-17", Product: "\"X\"", Branch: "б", Price: &Price{-1, 2000}}
		case *[]Media:
			*f = []Media{{Kind: "photo", Name: "я\n", Type: "image/jpeg", Size: 7, Ref: "r", URL: "https://a.test/?a=1&b", Hash: "h", Problem: "p"}, {}}
		case *[]string:
			*f = []string{name, "б\"\\\n", ""}
		case *map[string]string:
			*f = map[string]string{"source": name, "": "", "я\t": "\u2028<&>"}
		case *map[string]json.RawMessage:
			*f = map[string]json.RawMessage{"a": json.RawMessage(`"б\n\u0041"`), "b": json.RawMessage(`-1.5e3`), "c": json.RawMessage(`null`),
				"d": json.RawMessage(`{"x":[1,{"y":"}"}]}`), "e": json.RawMessage(`""`)}
		default:
			t.Fatalf("a lead has a field %s of type %T: teach encodeLead, decodeLead and this test", name, f)
		}
	}
	return &l
}

func TestLeadJSON(t *testing.T) {
	flat := fullLead(t)
	delete(flat.Fields, "d")
	tests := map[string]*Lead{
		"empty":       {},
		"every field": fullLead(t),
		"no nesting":  flat,
		"odd texts":   {Name: "\x00\x1f\"\\/", Message: "строка\r\nещё 😀 \u2029", Phone: "\xff\xfe", Fields: map[string]json.RawMessage{"n": nil}},
		"negative":    {Priority: -7, Sentiment: -0.5},
		"fractions":   {Sentiment: 0.07},
		"a bare when": {Slots: &Slots{When: &When{}}},
		"no slots":    {Slots: &Slots{}, Confidence: 1e-9},
		"half price":  {Slots: &Slots{Price: &Price{}}, Confidence: 1e21},
	}
	for name, l := range tests {
		t.Run(name, func(t *testing.T) {
			std, err := json.Marshal(l)
			if err != nil {
				t.Fatal(err)
			}
			own, err := encodeLead(l)
			if err != nil {
				t.Fatal(err)
			}
			var want, got, back Lead
			if err := json.Unmarshal(std, &want); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(own, &got); err != nil {
				t.Fatalf("%s: %v", own, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("encodeLead says another lead than json.Marshal:\n%s", diff)
			}
			for _, line := range []string{string(own), string(std)} {
				if err := decodeLead(line, &back); err != nil {
					t.Fatal(err)
				}
				var direct Lead
				if err := json.Unmarshal([]byte(line), &direct); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(direct, back); diff != "" {
					t.Errorf("decodeLead reads another lead than json.Unmarshal:\n%s", diff)
				}
				if err := decodeBrief(line, &back); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(brief(direct), back); len(line) > 2 && diff != "" {
					t.Errorf("decodeBrief reads another lead than json.Unmarshal:\n%s", diff)
				}
			}
		})
	}
	if _, err := encodeLead(&Lead{Fields: map[string]json.RawMessage{"x": json.RawMessage(`{`)}}); err == nil {
		t.Error("a field that is no JSON was written")
	}
	r := leadReader{}
	line, err := encodeLead(flat)
	if r.rest = string(line); err != nil || !r.lead(new(Lead)) || r.rest != "" {
		t.Errorf("the reader does not read what the writer writes, from %q on", r.rest)
	}
}

// brief is what decodeBrief reads of a lead.
func brief(l Lead) Lead {
	return Lead{ID: l.ID, Source: l.Source, Phone: l.Phone, Email: l.Email, Channel: l.Channel, UserID: l.UserID, RepeatOf: l.RepeatOf}
}

// What the ledger needs is found behind whatever a lead has in between, and by the brief reader itself.
func TestBriefReaderSkips(t *testing.T) {
	for name, l := range map[string]*Lead{
		"every field": fullLead(t),
		"escapes":     {ID: "1", Message: `a\\" b\`, Key: `\`, Fields: map[string]json.RawMessage{"x": json.RawMessage(`[{"a":"}]\\"},{},[]]`), "y": json.RawMessage(`{}`)}, RepeatOf: "2"},
		"bare values": {ID: "1", Fields: map[string]json.RawMessage{"n": json.RawMessage(`-1.5e3`), "t": json.RawMessage(`true`)}, RepeatOf: "2", Hot: true, Priority: 7},
	} {
		line, err := encodeLead(l)
		if err != nil {
			t.Fatal(err)
		}
		var got Lead
		if r := (leadReader{rest: string(line)}); !r.brief(&got) || r.rest != "" {
			t.Errorf("%s: not read from %q on", name, r.rest)
		}
		if diff := cmp.Diff(brief(*l), got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func FuzzDecodeLead(f *testing.F) {
	for _, s := range []string{`{}`, `}`, `{"utm":}}`, `{"tags":]}`, `{"id":"a","hot":true}`, `{"ID":"a"}`, `{"hot":false,"tags":null}`, `{"tags":[]}`, `{"id":"a",}`, `{"utm":{"a":"b"}}`,
		`{"fields":{"a":1,"b":"c","d":tru}}`, ` {"id":"a"}`, `{"id":"a"}}`, `{"priority":01}`, `{"priority":-0}`, `{"name":"\ud800"}`, `{"received_at":"2026-01-02T03:04:05Z"}`,
		`{"tags":["a"],"tags":["b"]}`, `{"utm":{"a":"b"},"utm":{"c":"d"}}`, `{"name":"a\`, `{"fields":{"a":[]}}`, `{"id":"a","id":null}`, `{,"id":"a"}`, "{\"name\":\"\xff\"}",
		`{"confidence":0.5,"answered":true}`, `{"confidence":NaN}`, `{"confidence":1e2}`, `{"confidence":-0.0}`, `{"confidence":.5}`, `{"slots":{}}`, `{"slots":null}`,
		`{"slots":{"when":{"start":"2026-01-02T03:04:05Z","end":"x"}}}`, `{"slots":{"price":{"from":1},"price":{"to":2}}}`, `{"slots":{"order":"a"},"slots":{"branch":"b"}}`, `{"slots":{"price":{"from":1.5}}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var want, got Lead
		errWant, errGot := json.Unmarshal([]byte(line), &want), decodeLead(line, &got)
		if (errWant == nil) != (errGot == nil) {
			t.Fatalf("%q: json.Unmarshal says %v, decodeLead %v", line, errWant, errGot)
		}
		if errWant == nil && !reflect.DeepEqual(want, got) {
			t.Fatalf("%q: want %+v, got %+v", line, want, got)
		}
		if errWant != nil {
			return
		}
		written, err := encodeLead(&want)
		if err != nil {
			return
		}
		if err := decodeBrief(string(written), &got); err != nil || !reflect.DeepEqual(brief(want), got) {
			t.Fatalf("%q: in brief %+v, %v", written, got, err)
		}
	})
}

func BenchmarkLeadJSON(b *testing.B) {
	l := &Lead{ID: "0123456789abcdefghjkmnpqrs", Source: "site", Home: "one", ReceivedAt: time.Now().UTC(), Name: "Анна", Phone: "+79990000011",
		Message: "Здравствуйте! Есть запись на сегодня после 14:00?\nСколько стоит?", UTM: map[string]string{"source": "instagram"},
		Fields: map[string]json.RawMessage{"page": json.RawMessage(`"https://salon.example.test/price"`), "form": json.RawMessage(`1`)}}
	line, _ := encodeLead(l)
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			_, _ = encodeLead(l)
		}
	})
	b.Run("json.Marshal", func(b *testing.B) {
		for b.Loop() {
			_, _ = json.Marshal(l)
		}
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			_ = decodeLead(string(line), new(Lead))
		}
	})
	b.Run("json.Unmarshal", func(b *testing.B) {
		for b.Loop() {
			_ = json.Unmarshal(line, new(Lead))
		}
	})
}
