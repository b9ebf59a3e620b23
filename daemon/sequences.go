package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/processors"
	"leadstream/processors/messenger"
	"leadstream/processors/sequences"
	"leadstream/processors/templates"
	"leadstream/sinks/records"
	"leadstream/streams/outbound"
)

// sequences finds what cannot work in the block.
func (l *loader) sequences(c *Config) {
	if len(c.Sequences) == 0 {
		return
	}
	texts, err := templates.Load(c.Answers.Texts, c.Zone())
	if err != nil {
		return // said already
	}
	_, err = sequences.Compile(c.Sequences, texts)
	l.partFaults("", err)
	known := map[string]bool{}
	for _, s := range slices.Concat(c.Tagging.Segments, processors.DefaultSegments()) {
		known[s.Name] = true
	}
	for i, s := range c.Sequences {
		if s.Segment != "" && !known[s.Segment] {
			l.fault(fmt.Sprintf("sequences[%d].segment", i), l.say("there is no segment %q", "нет сегмента %q", s.Segment), l.cureUnknown(s.Segment, keysOf(known)))
		}
	}
	if len(c.Answers.Channels) == 0 {
		l.fault("sequences", l.say("there is no channel to customers", "нет канала к клиентам"), l.say("add one under answers.channels", "добавьте его в answers.channels"))
	}
	if c.Tagging.Customers == 0 {
		l.fault("sequences", l.say("customers are not remembered, so that no segment begins one", "клиенты не запоминаются, и сегменты ничего не начнут"),
			l.say("take tagging.customers: 0 out", "уберите tagging.customers: 0"))
	}
}

// newSequences is what leads customers through them, beside the messenger. Also where none is configured: who is still in one leaves it.
func newSequences(cfg *Config, m *messenger.Messenger, store *records.Store, reg prometheus.Registerer, log zerolog.Logger) (*sequences.Sequences, error) {
	if m == nil {
		return nil, nil
	}
	set, err := sequences.Compile(cfg.Sequences, m.Texts)
	if err != nil {
		return nil, err
	}
	s := &sequences.Sequences{Set: set, Store: store, Language: cfg.Language, Zone: cfg.Zone(), Wake: m.Wake, Log: log}
	s.Metrics, err = sequences.NewMetrics(reg)
	m.Sequence = s
	return s, err
}

// sequenceCounts is what `leadstream sequences` asks for.
func (a *AdminAPI) sequenceCounts(r *http.Request) (any, error) {
	var since time.Time
	if err := (values{r}).time("since", &since); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	defer cancel()
	counts, err := a.Records.RunCounts(ctx, since)
	if counts == nil {
		counts = []outbound.RunCount{}
	}
	return counts, err
}

type sequencesCmd struct {
	Since string `help:"Begun since: 30d, 2026-01-31.|Начатые с: 30d, 2026-01-31."`
	JSON  bool   `help:"Print JSON.|Вывести JSON."`
}

func (cmd sequencesCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	var counts []outbound.RunCount
	if err := c.get("/v1/sequences", query("since", cmd.Since), &counts); err != nil {
		return err
	}
	results := resultsOf(counts)
	if cmd.JSON {
		return t.json(results)
	}
	rows := [][]string{{t.say("sequence", "последовательность"), t.say("variant", "вариант"), t.say("begun", "начато"), t.say("on", "идёт"), t.say("sent", "отправлено"),
		t.say("won", "успех"), "%", t.say("ended by", "прервано")}}
	for _, r := range results {
		var by []string
		for _, reason := range slices.Sorted(maps.Keys(r.Stopped)) {
			by = append(by, fmt.Sprint(t.stopReason(reason), " ", r.Stopped[reason]))
		}
		rows = append(rows, []string{r.Sequence, cmp.Or(r.Variant, "-"), strconv.Itoa(r.Begun), strconv.Itoa(r.On), strconv.Itoa(r.Sent), strconv.Itoa(r.Won),
			fmt.Sprintf("%.1f", r.Rate), cmp.Or(strings.Join(by, ", "), "-")})
	}
	return t.table(rows)
}

// sequenceResult is what came of a variant of a sequence.
type sequenceResult struct {
	Sequence string         `json:"sequence"`
	Variant  string         `json:"variant,omitempty"`
	Begun    int            `json:"begun"`
	On       int            `json:"on"`
	Sent     int            `json:"sent"` // messages
	Done     int            `json:"done"` // all was said, and nothing came of it
	Won      int            `json:"won"`
	Rate     float64        `json:"won_percent"` // of those that have ended
	Stopped  map[string]int `json:"stopped,omitempty"`
}

// resultsOf puts the counts of a variant together.
func resultsOf(counts []outbound.RunCount) []*sequenceResult {
	all := []*sequenceResult{}
	for _, c := range counts {
		n := len(all)
		if n == 0 || all[n-1].Sequence != c.Sequence || all[n-1].Variant != c.Variant { // they come in order
			all = append(all, &sequenceResult{Sequence: c.Sequence, Variant: c.Variant, Stopped: map[string]int{}})
			n++
		}
		r := all[n-1]
		r.Begun, r.Sent = r.Begun+c.Runs, r.Sent+c.Sent
		switch c.State {
		case outbound.RunOn:
			r.On += c.Runs
		case outbound.RunDone:
			r.Done += c.Runs
		case outbound.RunWon:
			r.Won += c.Runs
		default:
			r.Stopped[c.Reason] += c.Runs
		}
	}
	for _, r := range all {
		if ended := r.Begun - r.On; ended > 0 {
			r.Rate = 100 * float64(r.Won) / float64(ended)
		}
	}
	return all
}

// stopReason is what ended a sequence, in a word.
func (t *terminal) stopReason(reason string) string {
	words := map[string][2]string{"reply": {"reply", "ответ"}, "order": {"order", "заказ"}, "visit": {"visit", "визит"}, "won": {"won", "сделка"}, "lost": {"lost", "отказ"},
		"person": {"person", "сотрудник"}, "left": {"left the segment", "вышел из сегмента"}, "stop": {"STOP", "СТОП"}, "removed": {"taken out", "убрана"},
		"merged": {"merged card", "карточки объединены"}, "erased": {"erased", "удалён"}, "no_consent": {"no consent", "нет согласия"},
		"stopped": {"no advertising", "отказ от рекламы"}, "refused": {"no messages", "просил не писать"}}
	if w, ok := words[reason]; ok {
		return t.say(w[0], w[1])
	}
	return reason
}
