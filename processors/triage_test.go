package processors

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leadstream/streams"
	"leadstream/streams/streamstest"
)

func TestTriage(t *testing.T) {
	tests := map[string]struct {
		in, want streams.Lead
	}{
		"contacts normalised": {
			in:   streams.Lead{ID: "a", Phone: "8 (999) 000-00-11", Email: " Anna@Example.TEST "},
			want: streams.Lead{ID: "a", Phone: phone1, Email: "anna@example.test", Intent: Other, Language: "ru"},
		},
		"unreadable phone kept": {
			in:   streams.Lead{ID: "a", Phone: "спросить Анну"},
			want: streams.Lead{ID: "a", Phone: "спросить Анну", Intent: Other, Language: "ru"},
		},
		"hot booking": {
			in: streams.Lead{ID: "a", Message: "Срочно запишите на сегодня, болит зуб"},
			want: streams.Lead{ID: "a", Message: "Срочно запишите на сегодня, болит зуб", Intent: Booking, Hot: true,
				Language: "ru"},
		},
		"english": {
			in:   streams.Lead{ID: "a", Message: "How much is a haircut?"},
			want: streams.Lead{ID: "a", Message: "How much is a haircut?", Intent: Price, Language: "en"},
		},
		"form without words": {
			in:   streams.Lead{ID: "a", Service: "Маникюр", Time: "завтра 14:00", Phone: phone1},
			want: streams.Lead{ID: "a", Service: "Маникюр", Time: "завтра 14:00", Phone: phone1, Intent: Booking, Hot: true, Language: "ru"},
		},
		"the sender's own intent": {
			in:   streams.Lead{ID: "a", Message: "отмените запись", Intent: Consultation},
			want: streams.Lead{ID: "a", Message: "отмените запись", Intent: Consultation, Language: "ru"},
		},
		"news": {
			in:   streams.Lead{ID: "a", Event: "sent", Phone: "8 (999) 000-00-11", Message: "Срочно запишите"},
			want: streams.Lead{ID: "a", Event: "sent", Phone: phone1, Message: "Срочно запишите"},
		},
		"an intent that is none of ours": {
			in:   streams.Lead{ID: "a", Message: "отмените запись", Intent: "spam"},
			want: streams.Lead{ID: "a", Message: "отмените запись", Intent: Cancel, Language: "ru"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := tt.in
			v := (&Triage{Region: "RU", Language: "ru"}).Handle(context.Background(), []*streams.Entry{{Lead: &tt.in}})[0]
			want := streams.Verdict{Followers: []streams.Follower{{Queue: "triaged", Lead: &tt.want}}}
			if diff := cmp.Diff(want, v); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, tt.in); diff != "" {
				t.Errorf("the entry's own lead was changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestTriageMarksRepeatsAndBadEntries(t *testing.T) {
	s := streamstest.Redis(t)
	tr := &Triage{Region: "RU", Language: "ru", Dedupe: &Dedupe{Redis: s.Client}}
	got := tr.Handle(context.Background(), []*streams.Entry{
		{ID: "1-0", Queue: "intake", Lead: &streams.Lead{ID: "a", Phone: phone1}},
		{ID: "2-0", Queue: "intake"},
		{ID: "3-0", Queue: "intake", Lead: &streams.Lead{Phone: "8 999 000 00 11"}},
		{ID: "4-0", Queue: "intake", Lead: &streams.Lead{ID: "d", Event: "read", Phone: phone2}},
		{ID: "5-0", Queue: "intake", Lead: &streams.Lead{ID: "e", Phone: phone2}},
	})
	if got[1].Result != streams.Permanent {
		t.Errorf("an entry without a lead: %+v", got[1])
	}
	if of := got[4].Followers[0].Lead.RepeatOf; of != "" {
		t.Errorf("an enquiry was taken as a repeat of %s, which was news", of)
	}
	second := got[2].Followers[0].Lead
	if second.RepeatOf != "a" || second.ID == "" {
		t.Errorf("the second of a phone, written otherwise and without an id: %+v", second)
	}
}

func TestTriageWaitsForRedis(t *testing.T) {
	s := streamstest.Redis(t)
	s.Kill()
	tr := &Triage{Region: "RU", Dedupe: &Dedupe{Redis: s.Client}}
	v := tr.Handle(context.Background(), []*streams.Entry{{Lead: &streams.Lead{ID: "a", Phone: phone1}}})[0]
	if v.Result != streams.Wait || v.After == 0 || v.Err == nil {
		t.Errorf("with Redis away: %+v, want a wait that costs no attempt", v)
	}
}

func TestHeat(t *testing.T) {
	tests := map[string]struct {
		lead    streams.Lead
		intent  string
		hot     bool
		reasons []string
	}{
		"nothing":              {streams.Lead{Message: "Здравствуйте"}, Other, false, nil},
		"booking with a phone": {streams.Lead{Message: "Запишите на стрижку", Phone: phone1}, Booking, false, []string{"booking", "phone"}},
		"with an hour too":     {streams.Lead{Message: "Запишите на 14:30", Phone: phone1}, Booking, true, []string{"booking", "named time", "phone"}},
		"price, today, phone":  {streams.Lead{Message: "Сколько стоит сегодня?", Phone: phone1}, Price, true, []string{"today", "price", "phone"}},
		"urgent call":          {streams.Lead{Message: "Срочно перезвоните"}, Other, true, []string{"urgent", "call me"}},
		"a date is no hour":    {streams.Lead{Message: "заказ 12.05.2026"}, Other, false, nil},
		"just asking":          {streams.Lead{Message: "просто узнать, есть ли завтра места", Phone: phone1}, Booking, false, []string{"booking", "named time", "phone", "just asking"}},
		"english":              {streams.Lead{Message: "Need it ASAP, call me back today"}, Other, true, []string{"urgent", "call me", "today"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			score, reasons := Heat(&tt.lead, tt.intent)
			if hot := score >= HotAt; hot != tt.hot || !slices.Equal(reasons, tt.reasons) {
				t.Errorf("score %d, reasons %q; want hot %v, %q", score, reasons, tt.hot, tt.reasons)
			}
		})
	}
}

func TestLanguage(t *testing.T) {
	for text, want := range map[string]string{
		"": "ru", "+7 999": "ru", "Hello": "en", "Привет": "ru", "Запись на Kia Sportage": "ru", "Haircut, г. Томск please": "en",
	} {
		if got := language("ru", text); got != want {
			t.Errorf("language(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"Приветттт": "привет", "ЁЛКА": "елка", "adress Address": "adres adres", "can't": "cant", "1200 11": "1200 11",
		"и\u0306": "й", // a decomposed й, as some phones send it
	} {
		if got := fold(in); got != want {
			t.Errorf("fold(%q) = %q, want %q", in, got, want)
		}
	}
}
