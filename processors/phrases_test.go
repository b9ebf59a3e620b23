package processors

import (
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
)

func TestPhraseLanguage(t *testing.T) {
	tests := map[string]struct {
		phrase  string
		in, out []string
	}{
		"a word":        {"метро", []string{"Метро?", "у метро"}, []string{"метров", "неметро", ""}},
		"words":         {"не терпит", []string{"Дело не терпит!"}, []string{"не", "терпит не", "не очень терпит"}},
		"any ending":    {"отмен~", []string{"отмен", "отмените"}, []string{"неотменно", "отме"}},
		"a number":      {"в #", []string{"в 5", "в 15:30"}, []string{"в 155", "в 1а", "в", "в пять"}},
		"a gap":         {"снять .. запись", []string{"снять запись", "снять а б в запись"}, []string{"снять а б в г запись", "запись снять"}},
		"two gaps":      {"a .. .. b", []string{"a b", "a 1 2 3 4 5 6 b"}, []string{"a 1 2 3 4 5 6 7 b"}},
		"a gap at last": {"делаете .. ", []string{"делаете"}, nil},
		"either":        {"(на|по) карте", []string{"на карте", "по карте"}, []string{"карте", "на у карте"}},
		"of a word":     {"прид(у|ем~)", []string{"приду", "придемте"}, []string{"прид", "придут"}},
		"with, without": {"не (надо |нужно )?ждать", []string{"не ждать", "не надо ждать"}, []string{"не надо нужно ждать", "надо ждать"}},
		"nested":        {"a (b (c|d)? e|f)", []string{"a b c e", "a b d e", "a b e", "a f"}, []string{"a b c", "a c e"}},
		"spelling":      {"Address Ёлки", []string{"adress елки"}, []string{"ad елки"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var b phrasebook
			b.add("другое")
			list := b.add("иное", tt.phrase)
			for _, text := range tt.in {
				if b.read(words(text)).holds != list {
					t.Errorf("%q is not found in %q", tt.phrase, text)
				}
			}
			for _, text := range tt.out {
				if b.read(words(text)).has(list) {
					t.Errorf("%q is found in %q", tt.phrase, text)
				}
			}
		})
	}
}

func TestBadPhrasePanics(t *testing.T) {
	for _, bad := range []string{"", " ", "..", ".. a", "# часов", "(a|b", "a)", "a|b", "(a)? ", "a ~", "a~b", "a (b|c))", "a ?", "час-пик", "a ..."} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q is taken for a phrase", bad)
				}
			}()
			new(phrasebook).add("a", bad)
		}()
	}
	defer func() {
		if recover() == nil {
			t.Error("more lists than bits")
		}
	}()
	var b phrasebook
	for range maxLists + 1 {
		b.add("a")
	}
}

// Where plain is asked instead of the library, the words must be those that it would have left.
func TestPlainIsNormal(t *testing.T) {
	n := 0
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if !utf8.ValidRune(r) || !plain(string(r)) {
			continue
		}
		n++
		normal := norm.NFKC.PropertiesString(string(r)).BoundaryBefore()
		if s := norm.NFKC.String(string(r)); s != string(r) && len(words(s))+len(words(string(r))) > 0 || !normal {
			t.Errorf("%U is not plain", r)
		}
	}
	if n < 1000 {
		t.Errorf("only %d letters and signs are plain", n)
	}
}

func TestClockTime(t *testing.T) {
	in := []string{"14:30", "в 9.05", "0:00", "23:59 или", "а14:30б", "к 14:30, а 25:00"}
	out := []string{"", "14:3", "24:00", "9:60", "12.05.2026", "14:30.", "114:30", ":30", "..30", "1:.5"}
	for _, s := range slices.Concat(in, out) {
		if got, want := clockTime(s), slices.Contains(in, s); got != want {
			t.Errorf("clockTime(%q) = %v", s, got)
		}
	}
}

func TestWords(t *testing.T) {
	for in, want := range map[string][]string{
		"":                  nil,
		" - ":               nil,
		"Да.":               {"да"},
		"«Ёлка»—10%, can’t": {"елка", "10", "cant"},
		"№5 ﬁn\u00a0①":      {"no5", "fin", "1"},
		"١٢ été 😀ok":        {"١٢", "été", "ok"},
	} {
		if diff := cmp.Diff(want, words(in)); diff != "" {
			t.Errorf("words(%q) (-want +got):\n%s", in, diff)
		}
	}
}
