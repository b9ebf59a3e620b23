package processors

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/streams"
	"leadstream/streams/streamstest"
)

const (
	phone1, phone2 = "+79990000011", "+79990000012"
	email1         = "anna@example.test"
)

func TestDedupe(t *testing.T) {
	a := &streams.Lead{ID: "a", Phone: phone1}
	tests := map[string]struct {
		batches [][]*streams.Lead
		dead    string
		want    []string // of the last batch
	}{
		"alone":                   {batches: [][]*streams.Lead{{a}}, want: []string{""}},
		"without contacts":        {batches: [][]*streams.Lead{{{ID: "a"}, {ID: "b"}}}, want: []string{"", ""}},
		"handed out again":        {batches: [][]*streams.Lead{{a}, {a}}, want: []string{""}},
		"same phone":              {batches: [][]*streams.Lead{{a}, {{ID: "b", Phone: phone1}}}, want: []string{"a"}},
		"another phone":           {batches: [][]*streams.Lead{{a}, {{ID: "b", Phone: phone2}}}, want: []string{""}},
		"both in one batch":       {batches: [][]*streams.Lead{{a, {ID: "b", Phone: phone1}}}, want: []string{"", "a"}},
		"repeat handed out again": {batches: [][]*streams.Lead{{a, {ID: "b", Phone: phone1}}, {{ID: "b", Phone: phone1}}}, want: []string{"a"}},
		"same e-mail": {
			batches: [][]*streams.Lead{{{ID: "a", Email: email1, Phone: phone1}}, {{ID: "b", Email: email1, Phone: phone1}}},
			want:    []string{"a"},
		},
		"chain by phone, then e-mail, points to the first": {
			batches: [][]*streams.Lead{{a}, {{ID: "b", Phone: phone1, Email: email1}}, {{ID: "c", Email: email1}}},
			want:    []string{"a"},
		},
		"chain after a repeat that intake knew": {
			batches: [][]*streams.Lead{{{ID: "b", Phone: phone1, RepeatOf: "old"}}, {{ID: "c", Phone: phone1}}},
			want:    []string{"old"},
		},
		"repeat that intake knew, without contacts": {
			batches: [][]*streams.Lead{{{ID: "b", RepeatOf: "old"}}}, want: []string{"old"},
		},
		"a conversation": {
			batches: [][]*streams.Lead{{{ID: "a", Channel: "telegram", UserID: "7"}}, {{ID: "b", Channel: "telegram", UserID: "7"}, {ID: "c", Channel: "telegram", UserID: "8"}}},
			want:    []string{"a", ""},
		},
		"another channel, the same number": {
			batches: [][]*streams.Lead{{{ID: "a", Channel: "telegram", UserID: "7"}}, {{ID: "b", Channel: "vk", UserID: "7"}}}, want: []string{""},
		},
		"a number of no channel": {
			batches: [][]*streams.Lead{{{ID: "a", UserID: "7"}}, {{ID: "b", UserID: "7"}}}, want: []string{""},
		},
		"a phone given later leads to the conversation": {
			batches: [][]*streams.Lead{{{ID: "a", Channel: "telegram", UserID: "7"}}, {{ID: "b", Channel: "telegram", UserID: "7", Phone: phone1}},
				{{ID: "c", Phone: phone1}}},
			want: []string{"a"},
		},
		"first is dead": {batches: [][]*streams.Lead{{a}, {{ID: "b", Phone: phone1}}}, dead: "a", want: []string{""}},
		"first is dead, two follow": {
			batches: [][]*streams.Lead{{a}, {{ID: "b", Phone: phone1}, {ID: "c", Phone: phone1}}},
			dead:    "a", want: []string{"", "b"},
		},
		"intake's first is dead": {
			batches: [][]*streams.Lead{{{ID: "b", Phone: phone1, RepeatOf: "a"}, {ID: "c", Phone: phone1}}},
			dead:    "a", want: []string{"", "b"},
		},
		"intake's first is dead, without contacts": {
			batches: [][]*streams.Lead{{{ID: "b", RepeatOf: "a"}}}, dead: "a", want: []string{""},
		},
	}
	s := streamstest.Redis(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			s.Client.FlushAll(ctx)
			d := &Dedupe{Redis: s.Client, Window: DedupeWindow, Talk: ConversationWindow, Alive: func(_ context.Context, id string) bool { return id != tt.dead }}
			var got []string
			for _, b := range tt.batches {
				var err error
				if got, err = d.Firsts(ctx, b); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("firsts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDedupeKeys(t *testing.T) {
	ctx := context.Background()
	s := streamstest.Redis(t)
	d := &Dedupe{Redis: s.Client, Prefix: "shop", Partitions: 4, Window: time.Minute}
	a := &streams.Lead{ID: "a", Phone: phone1, Email: email1}
	if _, err := d.Firsts(ctx, []*streams.Lead{a}); err != nil {
		t.Fatal(err)
	}
	keys := s.Client.Keys(ctx, "*").Val()
	if len(keys) != 2 {
		t.Fatalf("keys %q, want one a contact", keys)
	}
	for _, k := range keys {
		if !strings.HasPrefix(k, "shop:{") || strings.Contains(k, phone1[1:]) || strings.Contains(k, "anna") {
			t.Errorf("key %q must name the partition and no person", k)
		}
		if ttl := s.Client.PTTL(ctx, k).Val(); ttl <= 0 || ttl > time.Minute {
			t.Errorf("key %q lives %v, want the window", k, ttl)
		}
	}
}

func TestARepeatDoesNotProlongTheWindow(t *testing.T) {
	ctx := context.Background()
	s := streamstest.Redis(t)
	d := &Dedupe{Redis: s.Client, Window: DedupeWindow}
	a := &streams.Lead{ID: "a", Phone: phone1}
	for _, l := range []*streams.Lead{a, {ID: "b", Phone: phone1}} {
		if _, err := d.Firsts(ctx, []*streams.Lead{l}); err != nil {
			t.Fatal(err)
		}
		keys, _ := d.keys(a)
		k := keys[0]
		if l == a {
			s.Client.PExpire(ctx, k, time.Minute) // time has passed
		} else if ttl := s.Client.PTTL(ctx, k).Val(); ttl > time.Minute {
			t.Errorf("the window of the first ends in %v, want a minute at most", ttl)
		}
	}
}

// A conversation lasts for as long as somebody speaks.
func TestAWordProlongsTheConversation(t *testing.T) {
	ctx := context.Background()
	s := streamstest.Redis(t)
	d := &Dedupe{Redis: s.Client, Talk: time.Hour}
	a := &streams.Lead{ID: "a", Channel: "telegram", UserID: "7", Phone: phone1}
	for _, l := range []*streams.Lead{a, {ID: "b", Channel: "telegram", UserID: "7"}} {
		if _, err := d.Firsts(ctx, []*streams.Lead{l}); err != nil {
			t.Fatal(err)
		}
		keys, _ := d.keys(a)
		if len(keys) != 1 {
			t.Fatalf("%d keys, want none for the phone", len(keys))
		}
		if l == a {
			s.Client.PExpire(ctx, keys[0], time.Minute) // time has passed
		} else if ttl := s.Client.PTTL(ctx, keys[0]).Val(); ttl < 50*time.Minute {
			t.Errorf("the conversation ends %v after the last word, want an hour", ttl)
		}
	}
}

func TestForget(t *testing.T) {
	ctx := context.Background()
	s := streamstest.Redis(t)
	d := &Dedupe{Redis: s.Client, Window: DedupeWindow}
	a := &streams.Lead{ID: "a", Phone: phone1}
	b := &streams.Lead{ID: "b", Phone: phone1, Email: email1}
	c := &streams.Lead{ID: "c", Phone: phone1}
	if _, err := d.Firsts(ctx, []*streams.Lead{a, b}); err != nil {
		t.Fatal(err)
	}
	if err := d.Forget(ctx, b); err != nil { // its contacts lead to a
		t.Fatal(err)
	}
	if got, _ := d.Firsts(ctx, []*streams.Lead{c}); got[0] != "a" {
		t.Errorf("after a repeat was forgotten, the next repeats %q, want a", got[0])
	}
	if err := d.Forget(ctx, a); err != nil {
		t.Fatal(err)
	}
	if got, _ := d.Firsts(ctx, []*streams.Lead{c}); got[0] != "" {
		t.Errorf("after the first was forgotten, the next repeats %q, want none", got[0])
	}
}
