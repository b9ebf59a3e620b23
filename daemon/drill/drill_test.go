package drill

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sec(s float64) Span { return Span(s * float64(time.Second)) }

// example is a drill of 200 leads an hour that loses one, made by hand: what it says is known.
func example(l Words, change func(*Report, []Sample)) *Report {
	plan := NewPlan(NewPeak(200), Choice{Load: 10 * time.Second, Broken: 8 * time.Second, Least: 5, Faults: []Fault{CRMDown, DaemonKilled}})
	r := &Report{Version: "v1", Language: l, Started: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC), Took: sec(70), Plan: plan, Main: "crm",
		Told: []string{"manager"}, Shorten: 9,
		Sources: []Source{{Name: "site", Kind: "generic", Way: ByHTTP}, {Name: "tg", Kind: "telegram", Way: ByWebhook, Again: 2, Aside: 4}, {Name: "vk", Kind: "vk", Way: Asked, Aside: 1}},
		Far: []Far{
			{Name: "crm", Kind: "bitrix24", Checked: true, PerSecond: 2, Burst: 50, Batch: 50, MostBatch: 50, Concurrency: 4, LateAfter: sec(600), Attempts: 5, Requests: []int{5, 10, 15, 9, 5}, Delivered: 42},
			{Name: "table", Kind: "csv", Concurrency: 4, LateAfter: sec(600), Attempts: 5, Delivered: 42},
		},
		Alerts: []Alert{{At: sec(35), Phase: 3, To: "manager", Via: "telegram", Text: "Alarm: crm does not work"}, {At: sec(36), Phase: 3, To: "manager", Via: "telegram", Text: "Alarm: crm does not work"}},
		Faults: []string{}, Notes: []string{"The CRM is simulated."}}
	runs := []Run{{0, None, sec(11)}, {sec(11), None, sec(22)}, {sec(22), None, sec(33)}, {sec(33), sec(41), sec(50)}, {sec(50), sec(53), sec(70)}}
	var samples []Sample
	for i, p := range plan.Phases {
		for n := range p.Leads {
			due := runs[i].Began + sec(float64(n)*p.Length.Seconds()/float64(p.Leads))
			s := Sample{Source: []string{"site", "vk", "tg"}[n%3], Phase: i, Due: due, Posted: due, Answered: due + sec(0.004), Accepted: true, Arrived: map[string]Span{"crm": due + sec(0.3+float64(n)/100), "table": due + sec(0.02)}}
			if runs[i].Healed > due {
				s.Arrived["crm"] = runs[i].Healed + sec(2+float64(n)/10)
				s.Refused = p.Fault == DaemonKilled
			}
			samples = append(samples, s)
		}
	}
	r.Totals = Totals{Sent: len(samples), Accepted: len(samples), Delivered: len(samples)}
	if change != nil {
		change(r, samples)
	}
	r.Sum(samples, runs)
	r.Advise()
	return r
}

func lose(r *Report, samples []Sample) {
	r.Totals.Lost, r.Totals.Delivered = 1, r.Totals.Delivered-1
	r.Sources[2].Lost = 1
	r.Faults = append(r.Faults, `crm: LOST: "wish 7" was acked as lead 01 and is nowhere`)
	delete(samples[6].Arrived, "crm")
}

func TestReportsAreAsTheyWere(t *testing.T) {
	for name, c := range map[string]struct {
		lang   Words
		change func(*Report, []Sample)
	}{"passed.en": {lang: "en"}, "passed.ru": {lang: "ru"}, "lost.en": {"en", lose}, "lost.ru": {"ru", lose}} {
		t.Run(name, func(t *testing.T) {
			r := example(c.lang, c.change)
			var text bytes.Buffer
			if err := r.Text(&text); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", text.Bytes())
			if name == "lost.en" {
				r.Curve, r.Dots = r.Curve[:3], r.Dots[:3]
				b, err := json.MarshalIndent(r, "", " ")
				if err != nil {
					t.Fatal(err)
				}
				golden(t, name+".json", append(b, '\n'))
			}
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (go test -update writes it anew):\n%s", path, diff)
	}
}

var outside = regexp.MustCompile(`(?i)<script|<link|<iframe|<img|\bsrc=|\bhref=|@import|url\(|https?://`)

func TestPageStandsAlone(t *testing.T) {
	for _, l := range []Words{"en", "ru"} {
		var page bytes.Buffer
		r := example(l, func(r *Report, s []Sample) {
			lose(r, s)
			r.Alerts[0].Text = `<script>alert(1)</script>` // a lead's text may stand in an alert
			r.Far[0].Name, r.Main = "<crm>", "crm"
		})
		if err := r.HTML(&page); err != nil {
			t.Fatal(err)
		}
		text := page.String()
		if found := outside.FindString(text); found != "" {
			t.Errorf("%s: the page has %q", l, found)
		}
		if n := strings.Count(text, "<svg "); n != 4 || n != strings.Count(text, "</svg>") {
			t.Errorf("%s: %d pictures, want 4", l, n)
		}
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s: a number that is none", l)
		}
		for _, want := range []string{`lang="` + string(l) + `"`, r.Headline(), "prefers-color-scheme: dark"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the page has no %q", l, want)
			}
		}
	}
}

// TestNothingPlayed is a drill that was ended at once: every form of the report still comes out.
func TestNothingPlayed(t *testing.T) {
	r := &Report{Language: "en", Stopped: true, Plan: NewPlan(NewPeak(10), Choice{Load: time.Second, Least: 5})}
	r.Sum(nil, nil)
	r.Advise()
	var out bytes.Buffer
	if err := r.Text(&out); err != nil {
		t.Fatal(err)
	}
	if err := r.HTML(&out); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, "STOPPED") || strings.Contains(s, "NaN") {
		t.Errorf("%s", s)
	}
}

func TestAdviceIsComputed(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(*Report, []Sample)
		says     string
		saysNot  string
		language Words
	}{
		"room":             {nil, "about 7,200 leads an hour go through without waiting, 36 times your peak", "bottleneck", "en"},
		"room, in Russian": {nil, "около 7\u00a0200 заявок в час — в 36 раз больше вашего пика", "узкое место", "ru"},
		"bottleneck at 3x": {func(r *Report, _ []Sample) {
			r.Plan.Peak = Peak{PerHour: 1000, PerMinute: 30}
			r.Far[0].PerSecond, r.Far[0].Batch, r.Far[0].Requests = 2, 1, []int{15, 30, 45}
		}, "At ×3 your peak (3,000 leads an hour) crm is the bottleneck: crm takes 2 requests a second, and a lead costs it 3, so 2,400 leads an hour. After such an hour a lead waits 15 min. Set sinks.crm.batch to 50", "There is room", "en"},
		"bottleneck, batch is on": {func(r *Report, _ []Sample) {
			r.Plan.Peak = Peak{PerHour: 1000, PerMinute: 30}
			r.Far[0].Requests = []int{15, 30, 45}
		}, "Raise the limit", "sinks.crm.batch", "en"},
		"the busiest minute": {func(r *Report, _ []Sample) {
			r.Plan.Peak = Peak{PerHour: 1000, PerMinute: 60}
		}, "The hour fits and its busiest minute does not", "There is room", "en"},
		"nobody is told":      {func(r *Report, _ []Sample) { r.Told = nil }, "Nobody would hear", "Only manager", "en"},
		"one is told":         {nil, "Only manager is told", "Nobody would hear", "en"},
		"closed door":         {nil, "had to send again: 2, in the 3 s", "", "en"},
		"socket is held":      {func(r *Report, s []Sample) { clearRefused(s) }, "longest recovery", "closed door", "en"},
		"dead letters":        {func(r *Report, _ []Sample) { r.Far[0].Dead = 3 }, "raise sinks.crm.retry.attempts", "", "en"},
		"looked up later":     {func(r *Report, _ []Sample) { r.Far[0].LookAfter = sec(5) }, "crm is asked after 5 s (far_limit and index_lag)", "", "en"},
		"nothing looked up":   {func(r *Report, _ []Sample) { r.Far[0].LookAfter = sec(125) }, "longest recovery", "caution", "en"},
		"slow disk":           {func(r *Report, s []Sample) { slow(s, 2) }, "Each answer waits for the disk", "", "en"},
		"alarm at every peak": {func(r *Report, _ []Sample) { r.Alerts[0].Phase = 2 }, "Load alone sets off alerts", "", "en"},
		"no alarm at all":     {func(r *Report, _ []Sample) { r.Alerts = nil }, "No alert came", "", "en"},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(example(c.language, c.change).Advice, "\n")
			if !strings.Contains(got, c.says) || c.saysNot != "" && strings.Contains(got, c.saysNot) {
				t.Errorf("advice:\n%s\nwant %q, and not %q", got, c.says, c.saysNot)
			}
		})
	}
}

func clearRefused(samples []Sample) {
	for i := range samples {
		samples[i].Refused = false
	}
}

func slow(samples []Sample, seconds float64) {
	for i := range samples {
		samples[i].Answered = samples[i].Due + sec(seconds)
	}
}

func TestRecoveryIsMeasured(t *testing.T) {
	r := example("en", func(_ *Report, s []Sample) { s[6].Refused = true })
	down := r.Phases[3]
	if got := down.Recovery.Seconds(); got < 2 || got > 3 {
		t.Errorf("recovery %v s, want that of the last lead of the fault's time", got)
	}
	r = example("en", func(_ *Report, s []Sample) {
		for i := range s {
			if s[i].Phase == 3 {
				delete(s[i].Arrived, "crm")
			}
		}
	})
	if r.Phases[3].Recovery != None {
		t.Errorf("recovery %v, want none: nothing arrived", r.Phases[3].Recovery)
	}
}

func TestQuantiles(t *testing.T) {
	hundred := make([]Span, 100)
	for i := range hundred {
		hundred[99-i] = Span(i + 1)
	}
	for name, c := range map[string]struct {
		all  []Span
		want Quantiles
	}{
		"none":    {nil, Quantiles{0, None, None, None, None}},
		"one":     {[]Span{7}, Quantiles{1, 7, 7, 7, 7}},
		"few":     {[]Span{3, 1, 2}, Quantiles{3, 2, 3, 3, 3}},
		"hundred": {hundred, Quantiles{100, 50, 95, 99, 100}},
	} {
		if got := quantiles(c.all); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestPlan(t *testing.T) {
	for name, c := range map[string]struct {
		peak    Peak
		leads   []int
		density float64
	}{
		"small: made denser": {NewPeak(60), []int{12, 24, 36}, 3}, // 4 in its busiest minute
		"large: as it is":    {NewPeak(6000), []int{124, 247, 370}, 1},
	} {
		p := NewPlan(c.peak, Choice{Load: time.Minute, Broken: 20 * time.Second, Least: 12, Faults: Faults})
		var got []int
		for _, one := range p.Phases[:3] {
			got = append(got, one.Leads)
		}
		if diff := cmp.Diff(c.leads, got, cmp.Comparer(func(a, b int) bool { return math.Abs(float64(a-b)) <= 3 })); diff != "" || math.Abs(p.Density-c.density) > 0.01 {
			t.Errorf("%s: density %v, %s", name, p.Density, diff)
		}
		if len(p.Phases) != 3+len(Faults) || p.Length() != 3*time.Minute+time.Duration(len(Faults))*30*time.Second {
			t.Errorf("%s: %d phases, %s", name, len(p.Phases), p.Length())
		}
	}
	at := Moments(100, time.Second)
	for i := 1; i < len(at); i++ {
		if at[i] < at[i-1] || at[i] >= time.Second {
			t.Fatalf("moments %v", at)
		}
	}
}

func TestPeak(t *testing.T) {
	for perHour, minute := range map[float64]float64{1: 1, 60: 4, 200: 9, 6000: 124, 100000: 1760} {
		if got := NewPeak(perHour).PerMinute; math.Abs(got-minute) > minute/20+1 {
			t.Errorf("%v an hour: %v in the busiest minute, want about %v", perHour, got, minute)
		}
	}
	for text, want := range map[string]float64{"200/h": 200, "12/m": 720, "2/min": 120, "1.5/s": 5400} {
		if got, err := ParsePeak(text); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "200", "/h", "x/h", "-1/h", "0/h", "1/d", "1x/h", "NaN/h", "+Inf/h", "1/h/h"} {
		if got, err := ParsePeak(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func TestPeakIsLearnt(t *testing.T) {
	began := time.Date(2026, 1, 31, 9, 0, 0, 0, time.UTC)
	var leads []Arrival
	for i := range 40 { // a quiet day, newest first
		leads = append([]Arrival{{began.Add(time.Duration(i) * 20 * time.Minute), "site"}}, leads...)
	}
	for i := range 10 { // and ten within half a minute, over the border of a minute and an hour
		leads = append(leads, Arrival{began.Add(5*time.Hour - 15*time.Second + time.Duration(i)*3*time.Second), "make"})
	}
	p, err := Learn(leads)
	if err != nil || p.Learnt != 50 || p.PerMinute != 11 || p.PerHour != 13 || !p.Since.Equal(began) || math.Abs(p.Shares["make"]-0.2) > 1e-9 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := Learn(leads[:1]); err == nil {
		t.Error("a peak was learnt from one lead")
	}
}

func TestFaultsAreParsed(t *testing.T) {
	for text, want := range map[string][]Fault{"all": Faults, "none": nil, "crm-down, redis-full": {CRMDown, RedisFull}} {
		if got, err := ParseFaults(text); err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if _, err := ParseFaults("crm-down,fire"); err == nil {
		t.Error("there is no fault fire")
	}
}

func TestWords(t *testing.T) {
	for want, got := range map[string]string{
		"1.5 ms": Words("en").Span(sec(0.0015)), "350 мс": Words("ru").Span(sec(0.35)), "4,2 с": Words("ru").Span(sec(4.2)), "90 s": Words("en").Span(sec(90)),
		"9 мин": Words("ru").Span(sec(540)), "2 min 5 s": Words("en").Span(sec(125)), "3 h": Words("en").Span(sec(10800)), "–": Words("en").Span(None),
		"1 заявка": Words("ru").leads(1), "3 заявки": Words("ru").leads(3), "12 заявок": Words("ru").leads(12), "1 lead": Words("en").leads(1),
		"7\u00a0200": Words("ru").count(7249), "12,000": Words("en").count(12345), "8.5": Words("en").count(8.5),
		"22 раза": Words("ru").Often(22), "25 раз": Words("ru").Often(25), "1,5 раза": Words("ru").Often(1.5), "112 раз": Words("ru").Often(112),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
