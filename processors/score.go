package processors

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"leadstream/processors/customer"
)

// reason is one of the grounds on which an enquiry is scored.
type reason struct {
	name   string // as Lead.Reasons and logs have it
	points float64
}

// reasons are all grounds, with the points that they have until outcomes have told better. A reason's place is its bit
// in customer.Mark.Reasons: new ones come at the end.
var reasons = []reason{
	{"urgent", 3}, {"call me", 2}, {"today", 2}, {"booking", 2}, {"price", 1}, {"rescheduling", 1}, {"named time", 1}, {"phone", 1}, {"just asking", -3}, // as Heat has them
	{"bought before", 1},
	{"active", 1},        // 5 interactions or more in 30 days: such customers buy three times as often (G-14)
	{"dear service", 1},  // costs twice the middle price of the business's services or more
	{"budget named", 0},  // these have no points of their own: they speak when outcomes have spoken
	{"advertisement", 0}, // the visit was paid for
	{"messenger", 0},     // came by a chat and not by a form or a call
	{"not content", 0},   // sentiment below 0.3
	{"writes again", 0},  // within the window of repeats
	{"asks for less", 0}, // hot words of discount or price
}

const (
	perPoint  = 0.7 // what a point adds to the log-odds
	evenAt    = 3.5 // points at which the score is 50: four are hot
	firstOwn  = 9   // the first of reasons that Heat does not find
	HotScore  = 50  // score from which a lead is hot, unless the configuration says otherwise
	enough    = 50  // outcomes from which on they are believed
	ofEach    = 10  // of them won, and lost
	mostKept  = 5000
	learnEach = 10 * time.Minute
)

// scoring gives enquiries a score. It is replaced as a whole when outcomes have told more.
type scoring struct {
	weights []float64 // log-odds of each reason
	bias    float64
	hotAt   int // score from which an enquiry is hot

	Calibration
}

// Calibration says how well scores and outcomes agree.
type Calibration struct {
	Outcomes int              `json:"outcomes"` // of which won or lost came back
	Won      int              `json:"won"`
	Used     bool             `json:"used"`   // the score is a probability learnt from them; else the shipped points are
	HotAt    int              `json:"hot_at"` // score from which an enquiry is hot
	Bands    []CalibratedBand `json:"bands,omitempty"`
}

// CalibratedBand is what became of the enquiries with scores From to To.
type CalibratedBand struct {
	From  int     `json:"from"`
	To    int     `json:"to"`
	Leads int     `json:"leads"`
	Won   int     `json:"won"`
	Said  float64 `json:"said"` // the mean score
}

// shipped is the scoring before any outcome.
func shipped(hotAt int) *scoring {
	s := &scoring{bias: -evenAt * perPoint, hotAt: hotAt}
	for _, r := range reasons {
		s.weights = append(s.weights, r.points*perPoint)
	}
	s.HotAt = hotAt
	return s
}

func (s *scoring) probability(bits uint32) float64 {
	z := s.bias
	for i, w := range s.weights {
		if bits&(1<<i) != 0 {
			z += w
		}
	}
	return 1 / (1 + math.Exp(-z))
}

func (s *scoring) score(bits uint32) int { return int(math.Round(100 * s.probability(bits))) }

// reasonsOf finds the grounds that an enquiry gives. The customer's past is what was known before this enquiry.
func (t *Tagging) reasonsOf(j *tagJob) (bits uint32) {
	l := j.lead
	_, found := heat(l, l.Intent, book.read(j.line.Words))
	for i, r := range reasons[:firstOwn] {
		if slices.Contains(found, r.name) {
			bits |= 1 << i
		}
	}
	own := []bool{
		false, false, // of the past, see withPast
		t.dear[fold(l.Service)],
		l.Slots != nil && l.Slots.Price != nil,
		slices.Contains([]string{"cpc", "ppc", "cpm", "paid", "ads"}, strings.ToLower(l.UTM["medium"])),
		slices.Contains([]string{"telegram", "whatsapp", "vk", "viber", "instagram", "max", "facebook"}, l.Channel),
		l.Sentiment != 0 && l.Sentiment < 0.3,
		l.RepeatOf != "",
		j.hot["discount"]+j.hot["expensive"] > 0,
	}
	for i, is := range own {
		if is {
			bits |= 1 << (firstOwn + i)
		}
	}
	return bits
}

// withPast adds what the customer's past says.
func withPast(bits uint32, past *customer.Past) uint32 {
	if past == nil {
		return bits
	}
	if past.Count("order", customer.Keep)+past.Count("won", customer.Keep) > 0 {
		bits |= 1 << firstOwn
	}
	if past.Interactions(30*day) >= 5 {
		bits |= 1 << (firstOwn + 1)
	}
	return bits
}

// score puts score and reasons into an enquiry, and makes it hot when it is.
func (t *Tagging) score(j *tagJob) {
	l := j.lead
	if l.Event != "" {
		return
	}
	bits := j.reasons
	if j.known != nil {
		bits = withPast(bits, j.known.Before(l.ID))
	}
	s := t.current()
	l.Score, l.Reasons = s.score(bits), nil
	for i, r := range reasons {
		if bits&(1<<i) != 0 {
			l.Reasons = append(l.Reasons, r.name)
		}
	}
	l.Hot = l.Hot || l.Score >= s.hotAt
	j.line.Hot, j.line.Score = l.Hot, l.Score
}

func (t *Tagging) current() *scoring {
	if s := t.scoring.Load(); s != nil {
		return s
	}
	return shipped(cmp.Or(t.HotAt, HotScore))
}

// outcomes are what the won and lost deals of a batch say of the enquiries that they came from: the one that the news
// are about, else the customer's latest before them.
func outcomes(jobs []*tagJob) (all []customer.Outcome) {
	for _, j := range jobs {
		if j.known == nil || j.lead.Event != "won" && j.lead.Event != "lost" {
			continue
		}
		for _, m := range slices.Backward(j.known.Marks) {
			if m.Kinds[customer.Enquiry] == 0 || j.lead.About != "" && m.ID != j.lead.About {
				continue
			}
			all = append(all, customer.Outcome{Of: j.known, ID: m.ID, Reasons: withPast(m.Reasons, j.known.Before(m.ID)), Won: j.lead.Event == "won"})
			break
		}
	}
	return all
}

// learn makes a new scoring of all outcomes.
func (t *Tagging) learn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	all, err := t.Memory.Outcomes(ctx)
	if err != nil {
		return fmt.Errorf("outcomes: %w", err)
	}
	s := calibrate(all, cmp.Or(t.HotAt, HotScore))
	t.scoring.Store(s)
	t.Log.Debug().Int("outcomes", s.Outcomes).Int("won", s.Won).Bool("used", s.Used).Int("hot_at", s.HotAt).Msg("scores are held against outcomes")
	return nil
}

// Reasons are the names of all grounds.
func Reasons() (names []string) {
	for _, r := range reasons {
		names = append(names, r.name)
	}
	return names
}

// Calibration says how well scores and outcomes agree.
func (t *Tagging) Calibration() Calibration { return t.current().Calibration }

// calibrate fits the weights to outcomes, held near the shipped ones by so much as few outcomes can say little. It is
// used when there are enough of them, and when it foretells those that it did not see better than the shipped points with
// their mean put right. As many are hot as the shipped points would make hot: better chosen, not more.
func calibrate(all []customer.Outcome, hotAt int) *scoring {
	plain := shipped(hotAt)
	plain.Outcomes = len(all)
	for _, o := range all {
		if o.Won {
			plain.Won++
		}
	}
	if len(all) < enough || plain.Won < ofEach || len(all)-plain.Won < ofEach {
		plain.Bands = bands(plain, all)
		return plain
	}
	slices.SortFunc(all, func(a, b customer.Outcome) int { return cmp.Compare(a.ID, b.ID) }) // ids are hashes: halves by chance
	half := len(all) / 2
	free := loss(fit(all[:half], true), all[half:]) + loss(fit(all[half:], true), all[:half])
	held := loss(fit(all[:half], false), all[half:]) + loss(fit(all[half:], false), all[:half])
	s := fit(all, free < held)
	s.Calibration, s.Used = plain.Calibration, true
	hot := 0
	scores := make([]int, len(all))
	for i, o := range all {
		if plain.score(o.Reasons) >= hotAt {
			hot++
		}
		scores[i] = s.score(o.Reasons)
	}
	slices.SortFunc(scores, func(a, b int) int { return cmp.Compare(b, a) })
	s.hotAt = hotAt
	if hot > 0 {
		s.hotAt = max(scores[hot-1], 1)
	}
	s.HotAt, s.Bands = s.hotAt, bands(s, all)
	return s
}

// fit is a logistic regression by gradient descent: the bias is free, and so are the weights if they are to be, held
// near the shipped ones with the force of a few outcomes.
func fit(all []customer.Outcome, free bool) *scoring {
	const steps, force = 400, 4.0
	s, prior := shipped(0), shipped(0)
	gradient := make([]float64, len(s.weights))
	rate := 4 / (float64(len(all))*2 + force)
	for range steps {
		clear(gradient)
		bias := 0.0
		for _, o := range all {
			wrong := s.probability(o.Reasons)
			if o.Won {
				wrong--
			}
			bias += wrong
			for i := range gradient {
				if o.Reasons&(1<<i) != 0 {
					gradient[i] += wrong
				}
			}
		}
		s.bias -= rate * bias
		for i := range gradient {
			if free {
				s.weights[i] -= rate * (gradient[i] + force*(s.weights[i]-prior.weights[i]))
			}
		}
	}
	return s
}

// loss is how badly a scoring foretells outcomes: the log-loss, summed.
func loss(s *scoring, all []customer.Outcome) (sum float64) {
	for _, o := range all {
		p := s.probability(o.Reasons)
		if !o.Won {
			p = 1 - p
		}
		sum -= math.Log(max(p, 1e-9))
	}
	return sum
}

// bands are five parts of the scale with what became of the enquiries in them.
func bands(s *scoring, all []customer.Outcome) []CalibratedBand {
	list := make([]CalibratedBand, 5)
	for i := range list {
		list[i].From, list[i].To = 20*i, 20*i+19
	}
	list[4].To = 100
	for _, o := range all {
		score := s.score(o.Reasons)
		b := &list[min(score/20, 4)]
		b.Leads++
		b.Said += float64(score)
		if o.Won {
			b.Won++
		}
	}
	for i := range list {
		if n := list[i].Leads; n > 0 {
			list[i].Said = math.Round(10*list[i].Said/float64(n)) / 10
		}
	}
	return slices.DeleteFunc(list, func(b CalibratedBand) bool { return b.Leads == 0 })
}

// Priced is a service with what it costs.
type Priced struct {
	Name  string
	Price int
}

// dearOf are the folded names of the services that cost twice the middle price or more.
func dearOf(services []Priced) map[string]bool {
	var prices []int
	for _, s := range services {
		if s.Price > 0 {
			prices = append(prices, s.Price)
		}
	}
	if len(prices) == 0 {
		return nil
	}
	slices.Sort(prices)
	dear := map[string]bool{}
	for _, s := range services {
		if s.Price >= 2*prices[len(prices)/2] {
			dear[fold(s.Name)] = true
		}
	}
	return dear
}
