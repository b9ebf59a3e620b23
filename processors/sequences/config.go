package sequences

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"leadstream/processors"
	"leadstream/processors/templates"
	"leadstream/streams/outbound"
)

// Sequence is one of `sequences` in config.yaml: what begins it, what is said when, and what ends it.
type Sequence struct {
	Name   string `koanf:"name"`   // empty: that of the preset
	Preset string `koanf:"preset"` // one of Presets, for all that is not written here
	Off    bool   `koanf:"off"`    // nobody begins it, and who is in it leaves it

	Segment   string           `koanf:"segment"`   // it begins when a customer comes into this segment,
	When      string           `koanf:"when"`      // or when this is true of an enquiry or of news, an expression as rules have it;
	Recommend []Recommendation `koanf:"recommend"` // or when one of these is, and the first one's products are what the texts recommend (G-11)

	Again time.Duration     `koanf:"again"` // a customer begins it again so long after the last time at the earliest
	Watch time.Duration     `koanf:"watch"` // how long behind the last step an order still counts as its result
	Stop  []string          `koanf:"stop"`  // what ends it: some of Stops
	Steps []Step            `koanf:"steps"`
	Texts map[string]string `koanf:"values"` // for the texts: coupon, discount, until, link, service, price

	Variants []Variant `koanf:"variants"` // A/B: each customer gets one, always the same
}

// Step is one touch.
type Step struct {
	After    time.Duration `koanf:"after"`    // the one before was sent, or the sequence began
	Template string        `koanf:"template"` // name of a text
	Channel  string        `koanf:"channel"`  // tried first; empty: the usual one
	When     string        `koanf:"when"`     // only then: an expression over Standing
	Unless   string        `koanf:"unless"`   // not then
	Within   time.Duration `koanf:"within"`   // it is not sent later than that; default: 14d for a promotion, else 48h
}

// Variant is one of several ways to do it.
type Variant struct {
	Name   string            `koanf:"name"`
	Weight int               `koanf:"weight"` // share of customers who get it, of the sum of all weights; default 1
	Silent bool              `koanf:"silent"` // nothing is sent: to see what would have happened anyway
	Steps  []Step            `koanf:"steps"`  // empty: the sequence's
	Texts  map[string]string `koanf:"values"` // over the sequence's
}

// Recommendation is what is recommended to whom.
type Recommendation struct {
	When     string   `koanf:"when"` // expression over the enquiry, fields.skin == "dry"
	Products []string `koanf:"products"`
}

// Stops are what may end a sequence. A customer's STOP always does.
var Stops = []string{
	"reply",  // the customer writes
	"order",  // orders or pays
	"visit",  // comes
	"won",    // the deal is won
	"lost",   // or lost
	"person", // a person of the business answers
	"left",   // the customer leaves the segment with which it began
}

// goals are the ends that are meant.
var goals = []string{"order", "visit", "won"}

// Defaults of what is not written.
const (
	again = 30 * 24 * time.Hour
	watch = 14 * 24 * time.Hour
	// mostSteps bounds a sequence: who has heard as much without an answer wants no more.
	mostSteps = 20
)

// filled is a sequence with what its preset and the defaults say.
func (s Sequence) filled() (Sequence, error) {
	if s.Preset != "" {
		p, ok := Presets()[s.Preset]
		if !ok {
			return s, processors.Fault{Key: "preset", Problem: fmt.Sprintf("there is no preset %q", s.Preset), Cure: "write one of " + strings.Join(slices.Sorted(maps.Keys(Presets())), ", ")}
		}
		s.Name = cmp.Or(s.Name, s.Preset)
		if s.Segment+s.When == "" && len(s.Recommend) == 0 {
			s.Segment, s.When, s.Recommend = p.Segment, p.When, p.Recommend
		}
		s.Again, s.Watch = cmp.Or(s.Again, p.Again), cmp.Or(s.Watch, p.Watch)
		if s.Stop == nil {
			s.Stop = p.Stop
		}
		if len(s.Steps) == 0 {
			s.Steps = p.Steps
		}
		s.Texts = over(p.Texts, s.Texts)
	}
	s.Again, s.Watch = cmp.Or(s.Again, again), cmp.Or(s.Watch, watch)
	if s.Stop == nil {
		s.Stop = []string{"reply", "order", "visit", "won", "lost", "person"}
	}
	return s, nil
}

// Segments are those with which sequences begin.
func Segments(all []Sequence) (names []string) {
	for _, s := range all {
		if s, err := s.filled(); err == nil && s.Segment != "" && !s.Off {
			names = append(names, s.Segment)
		}
	}
	return names
}

func over(under, more map[string]string) map[string]string {
	all := maps.Clone(under)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, more)
	return all
}

// ready is a sequence that can be run.
type ready struct {
	Sequence
	when      processors.Condition
	recommend []processors.Condition
	variants  []way
}

// way is a variant, ready.
type way struct {
	Variant
	steps  []readyStep
	values map[string]string
}

type readyStep struct {
	Step
	when, unless processors.Condition
	purpose      outbound.Purpose
}

// Compile checks sequences and makes them ready. Its error joins processors.Faults, whose keys begin with "sequences".
func Compile(all []Sequence, texts *templates.Set) (*Set, error) {
	set := &Set{byName: map[string]*ready{}}
	var faults []error
	for i, s := range all {
		key := fmt.Sprintf("sequences[%d]", i)
		fault := func(at, problem, cure string) {
			faults = append(faults, processors.Fault{Key: key + at, Problem: problem, Cure: cure})
		}
		s, err := s.filled()
		var unknown processors.Fault
		if errors.As(err, &unknown) {
			fault("."+unknown.Key, unknown.Problem, unknown.Cure)
			continue
		}
		if !plainName(s.Name) {
			fault(".name", fmt.Sprintf("%q is no plain name", s.Name), "write small letters, digits and dashes, as in win-back")
		}
		if set.byName[s.Name] != nil {
			fault(".name", fmt.Sprintf("there are two sequences %q", s.Name), "give one another name")
		}
		r := &ready{Sequence: s}
		r.begins(fault)
		for _, word := range s.Stop {
			if !slices.Contains(Stops, word) {
				fault(".stop", fmt.Sprintf("%q ends nothing", word), "write some of "+strings.Join(Stops, ", "))
			}
		}
		if s.Again < 0 || s.Watch < 0 {
			fault("", "a time is below 0", "write again and watch as 30d")
		}
		r.ways(texts, fault)
		set.all, set.byName[s.Name] = append(set.all, r), r
	}
	return set, errors.Join(faults...)
}

// begins makes what begins it ready.
func (r *ready) begins(fault func(at, problem, cure string)) {
	const cure = `write an expression over the lead, as in event == "click" and fields.campaign == "spring"`
	var err error
	if r.when, err = processors.LeadCondition(r.When); err != nil {
		fault(".when", firstLine(err), cure)
	}
	for i, one := range r.Recommend {
		c, err := processors.LeadCondition(one.When)
		if err != nil {
			fault(fmt.Sprintf(".recommend[%d].when", i), firstLine(err), cure)
		}
		if len(one.Products) == 0 {
			fault(fmt.Sprintf(".recommend[%d]", i), "it recommends nothing", "write products: [a, b, c]")
		}
		r.recommend = append(r.recommend, c)
	}
	n := 0
	for _, is := range []bool{r.Segment != "", r.When != "", len(r.Recommend) > 0} {
		if is {
			n++
		}
	}
	if n != 1 {
		fault("", "it is not said what begins it", "write one of segment, when and recommend")
	}
}

// ways makes the variants ready; a sequence without any has one without a name.
func (r *ready) ways(texts *templates.Set, fault func(at, problem, cure string)) {
	variants, named := r.Variants, true
	if len(variants) == 0 {
		variants, named = []Variant{{}}, false
	}
	seen := map[string]bool{}
	for i, v := range variants {
		at := ""
		if named {
			at = fmt.Sprintf(".variants[%d]", i)
			if !plainName(v.Name) || seen[v.Name] {
				fault(at+".name", fmt.Sprintf("%q is no plain name of its own", v.Name), "write name: a")
			}
			if v.Weight < 0 {
				fault(at+".weight", "is below 0", "write 1 or more")
			}
			seen[v.Name] = true
		}
		v.Weight = cmp.Or(v.Weight, 1)
		w := way{Variant: v, values: over(r.Texts, v.Texts)}
		steps := v.Steps
		if len(steps) == 0 && !v.Silent {
			steps, at = r.Steps, ""
		}
		if !v.Silent && (len(steps) == 0 || len(steps) > mostSteps) {
			fault(at+".steps", fmt.Sprintf("there are %d", len(steps)), fmt.Sprintf("write 1 to %d", mostSteps))
		}
		for n, step := range steps {
			w.steps = append(w.steps, r.step(step, w.values, texts, func(key, problem, cure string) {
				fault(fmt.Sprintf("%s.steps[%d]%s", at, n, key), problem, cure)
			}))
		}
		if err := known(w.values); err != nil {
			fault(at+".values", err.Error(), "write coupon, discount, until, link, service or price")
		}
		r.variants = append(r.variants, w)
	}
}

func (r *ready) step(s Step, values map[string]string, texts *templates.Set, fault func(key, problem, cure string)) readyStep {
	is := readyStep{Step: s}
	const cure = `write an expression over heard_days, visit_days, booked, last, language, weekday, as in last != "read"`
	var err error
	if is.when, err = processors.ConditionOver(s.When, Standing{}); err != nil {
		fault(".when", firstLine(err), cure)
	}
	if s.Unless != "" {
		if is.unless, err = processors.ConditionOver(s.Unless, Standing{}); err != nil {
			fault(".unless", firstLine(err), cure)
		}
	}
	if s.After < 0 || s.Within < 0 {
		fault("", "a time is below 0", "write after: 48h")
	}
	text := texts.Find(s.Template, "ru")
	if text == nil {
		fault(".template", fmt.Sprintf("there is no text %q", s.Template), "see `leadstream template test`, or write one of your own into texts.dir")
		return is
	}
	is.purpose = text.Purpose
	if is.Within == 0 {
		is.Within = 48 * time.Hour
		if is.purpose == outbound.Promotion {
			is.Within = 14 * 24 * time.Hour
		}
	}
	for _, need := range text.Needs {
		given := slices.ContainsFunc(slices.Collect(maps.Keys(values)), func(k string) bool { return strings.EqualFold(k, need) })
		switch {
		case given, need == "Products" && len(r.Recommend) > 0, slices.Contains([]string{"FirstName", "LastVisit"}, need), strings.HasPrefix(need, "Business"):
		default:
			fault(".template", fmt.Sprintf("text %s needs .%s", s.Template, need), fmt.Sprintf("write values: {%s: …} beside the steps", strings.ToLower(need)))
		}
	}
	return is
}

// known says which of values no text knows.
func known(values map[string]string) error {
	b, err := json.Marshal(values)
	if err != nil {
		return err
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	var into templates.Values
	if err := d.Decode(&into); err != nil {
		return errors.New("texts have no such value: " + strings.TrimPrefix(err.Error(), "json: unknown field "))
	}
	return nil
}

// pick is the variant that a customer gets: always the same one, as long as the weights are.
func (r *ready) pick(customer int64) *way {
	sum := 0
	for i := range r.variants {
		sum += r.variants[i].Weight
	}
	hash := sha256.Sum256([]byte(r.Name + " " + strconv.FormatInt(customer, 10)))
	at := int(binary.BigEndian.Uint64(hash[:8]) % uint64(sum))
	for i := range r.variants {
		if at -= r.variants[i].Weight; at < 0 {
			return &r.variants[i]
		}
	}
	return &r.variants[0] // not reached
}

// wayOf is the variant that a run is in; one that was taken out of the configuration gives way to another.
func (r *ready) wayOf(run *outbound.Run) *way {
	for i := range r.variants {
		if r.variants[i].Name == run.Variant {
			return &r.variants[i]
		}
	}
	w := r.pick(run.Customer)
	run.Variant = w.Name
	return w
}

func plainName(s string) bool {
	return s != "" && len(s) <= 50 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}
