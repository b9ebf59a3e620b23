// Package intent says what a short message of a customer wants, in Russian and in English, without network or model
// files: it learns a small linear model from example phrases at start, in a fraction of a second. It says too when it
// does not know. What is done with the answer, and the rest of a message (dates, phones, names), it leaves to others.
package intent

import (
	"slices"
	"strings"
	"time"
)

// The intents. A greeting, an advertisement, whatever is none of the business's affairs: Other.
const (
	Booking      = "booking"
	Cancel       = "cancel"
	Reschedule   = "reschedule"
	Price        = "price"
	Address      = "address"
	Hours        = "hours"
	Consultation = "consultation"
	OrderStatus  = "order_status"
	Complaint    = "complaint"
	Payment      = "payment"
	Operator     = "operator"
	Other        = "other"
)

// All are the intents, Other last.
var All = []string{Booking, Cancel, Reschedule, Price, Address, Hours, Consultation, OrderStatus, Complaint, Payment,
	Operator, Other}

// classes is how many there are; more of them would be told apart less well.
const (
	classes = 12
	other   = classes - 1
)

// Reply is an answer that needs no intent.
type Reply string

// The replies. Stop is taken at any time, Yes and No only as the answer to a question.
const (
	NoReply Reply = ""
	Yes     Reply = "yes"
	No      Reply = "no"
	Stop    Reply = "stop" // asks to be written to no more
)

// Result is what was understood.
type Result struct {
	Intent     string   // the main one
	Intents    []string // all that the message holds, in its order; Intent is among them
	Confidence float64  // from 0 to 1, in Intent
	Answered   bool     // sure enough to act on; if not, ask once, then call a person. Never true of Other
	InScope    float64  // from 0 to 1: that it is the business's affair at all
	Reply      Reply
	Rule       string // the rule that decided, if one did
}

// Model is a trained classifier. It is safe for concurrent use.
type Model struct {
	text     *textReader
	vocab    *vocabulary
	opinions opinions
	trust    trust
	limit    float64 // of trust: from when on it answers
	examples []example
	check    Check
	digest   string
	held     bool // the examination, in this training
	took     time.Duration
}

// Limit is the least confidence with which the model answers, as its examination set it.
func (m *Model) Limit() float64 { return m.limit }

// Check is the model's examination by its own examples.
func (m *Model) Check() Check { return m.check }

// Took is how long the training lasted, with the examination if there was one.
func (m *Model) Took() time.Duration { return m.took }

// Size is how many examples the model has seen, and how many features it looks for.
func (m *Model) Size() (examples, features int) { return len(m.examples), len(m.vocab.idf) }

// Answer reads a message that follows a question which can be answered with yes or no, or with 1 and 2.
func (m *Model) Answer(text string) Result {
	if reply := answerOf(m.text.read(text)); reply != NoReply {
		return Result{Intent: Other, Intents: []string{Other}, Confidence: sure, Reply: reply, Rule: string(reply)}
	}
	return m.Read(text)
}

// Read says what a message wants.
func (m *Model) Read(text string) Result {
	msg := m.text.read(text)
	if len(msg.tokens) == 0 {
		rule := "greeting"
		if !msg.greeted {
			rule = "no words"
		}
		return Result{Intent: Other, Intents: []string{Other}, Confidence: sure, Rule: rule}
	}
	if stops(msg) {
		return Result{Intent: Other, Intents: []string{Other}, Confidence: sure, Reply: Stop, Rule: string(Stop)}
	}
	whole := m.judge(msg.tokens)
	r := m.result(&whole, m.parts(msg))
	r.Answered = r.Answered && !strings.ContainsAny(text, "{}\\") // what programs write, a person should see
	return r
}

// judgement is what the model or a rule says of some tokens.
type judgement struct {
	p     [classes]float32
	first int // the intent of the largest p
	rule  string
	agree bool    // both opinions have the same first
	known float32 // share of the letters that is known
	size  int     // tokens
}

func (m *Model) judge(tokens []token) (j judgement) {
	if intent, rule := ruleOf(tokens); rule != "" {
		return ruled(intent, rule, len(tokens))
	}
	m.vocab.with(tokens, func(x vector) { j = m.opinions.judge(x, len(tokens)) })
	return j
}

func ruled(intent, rule string, size int) judgement {
	j := judgement{rule: rule, first: index(intent), agree: true, known: 1, size: size}
	j.p[j.first] = sure
	return j
}

func (o *opinions) judge(x vector, size int) judgement {
	j := judgement{size: size, known: x.known}
	j.p, j.agree = o.predict(x)
	j.first = largest(&j.p)
	return j
}

// sure is the confidence of a rule.
const sure = 0.97

func index(intent string) int { return slices.Index(All, intent) }

func largest(p *[classes]float32) int {
	best := 0
	for k := range p {
		if p[k] > p[best] {
			best = k
		}
	}
	return best
}

// second is the largest probability beside the first's.
func (j *judgement) second() float32 {
	var best float32
	for k, p := range j.p {
		if k != j.first {
			best = max(best, p)
		}
	}
	return best
}

// The probabilities from which on a judgement is firm, so that it decides what a message wants, or fair, so that it is
// something that the message wants too. Both need a distance to the second.
const (
	firm   = 0.8
	fair   = 0.6
	margin = 0.1
)

// atLeast says whether a judgement has a probability. Other never does.
func (j *judgement) atLeast(p float32) bool {
	return j.first != other && j.p[j.first] >= p && j.p[j.first]-j.second() >= margin
}

// inScope is how likely the text is the business's affair: it is not like Other, and it is like something else.
func (j *judgement) inScope() float64 {
	var best float32
	for _, p := range j.p[:other] {
		best = max(best, p)
	}
	return float64(1-j.p[other]+best) / 2
}
