package customer

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"leadstream/streams"
)

//go:embed lua/note.lua
var noteLua string

//go:embed lua/change.lua
var changeLua string

//go:embed lua/due.lua
var dueLua string

var noteScript, changeScript, dueScript = redis.NewScript(noteLua), redis.NewScript(changeLua), redis.NewScript(dueLua)

// Bounds of what is remembered, so that no flood of customers or of news of one can fill Redis.
const (
	Keep     = 90 * 24 * time.Hour // of a customer of whom nothing has come for so long, nothing is remembered
	mostLog  = 4 << 10             // bytes of one customer's marks, about 80: the oldest go first
	Most     = 100_000             // customers, unless the configuration says otherwise: those silent for longest go first
	mostTold = 512                 // bytes of a contact
)

// Memory is what is remembered of customers, in Redis: a hash each, found by phone, e-mail and user id, whose hashes
// name the keys. All keys of a customer are in the partition of their leads.
type Memory struct {
	Redis      redis.UniversalClient
	Prefix     string // of every key; "" is "ls"
	Partitions int    // 0 is 1
	Salt       string // mixed into the hashes of contacts, the same for all instances
	Most       int    // customers of a partition; 0 is Most
	Now        func() time.Time
}

// Known is what is remembered of a customer after a mark was noted.
type Known struct {
	*Past
	Contact   *streams.Lead // who it is: name, phone, e-mail, channel, user id
	Look      time.Time     // when it is judged again though nothing comes; zero: never
	key       string
	partition int
	segments  string // as they stand in Redis
}

// SegmentOf is the segment of a group that the customer was in, "" for none.
func (k *Known) SegmentOf(group string) string { return ReadSegments(k.segments)[group] }

// Text is the segments as they stand in Redis.
func (k *Known) Text() string { return k.segments }

// ReadSegments reads "group=segment group=segment".
func ReadSegments(text string) map[string]string {
	all := map[string]string{}
	for one := range strings.FieldsSeq(text) {
		group, name, _ := strings.Cut(one, "=")
		all[group] = name
	}
	return all
}

// Note is a mark of a lead's customer.
type Note struct {
	Lead *streams.Lead
	Mark Mark
}

func (m *Memory) keys(partition int) streams.Keys {
	k := streams.Keys{Prefix: m.Prefix, Partition: partition}
	if k.Prefix == "" {
		k.Prefix = "ls"
	}
	return k
}

// Key names the customer.
func (k *Known) Key() string { return k.key }

// Clock is what time it is.
func (m *Memory) Clock() time.Time { return m.now() }

func (m *Memory) now() time.Time {
	if m.Now == nil {
		return time.Now()
	}
	return m.Now()
}

func (m *Memory) partitionOf(l *streams.Lead) int {
	return streams.PartitionOf(l.OrderKey(), m.Partitions)
}

// contacts are the keys under which a customer is known: by phone first, which lasts longest.
func (m *Memory) contacts(l *streams.Lead) (keys []string) {
	k := m.keys(m.partitionOf(l))
	add := func(kind string, parts ...string) {
		keys = append(keys, k.Queue("cu:"+kind+":"+streams.NewID(append([]string{m.Salt, kind}, parts...)...)))
	}
	if l.Phone != "" {
		add("p", l.Phone)
	}
	if l.Email != "" {
		add("e", l.Email)
	}
	if l.UserID != "" {
		add("u", l.Channel, l.UserID)
	}
	return keys
}

func seenKey(k streams.Keys) string { return k.Queue("customers") }
func dueKey(k streams.Keys) string  { return k.Queue("customers:due") }

// Note keeps a batch of marks, in one round trip for each partition that they are of, and answers what is then known of
// each customer; nil for a lead without any contact. The same mark again changes nothing.
func (m *Memory) Note(ctx context.Context, notes []Note) ([]*Known, error) {
	known := make([]*Known, len(notes))
	parts := map[int][]int{}
	for i, n := range notes {
		if n.Lead.Phone+n.Lead.Email+n.Lead.UserID != "" {
			p := m.partitionOf(n.Lead)
			parts[p] = append(parts[p], i)
		}
	}
	for p, places := range parts {
		if err := m.note(ctx, p, notes, places, known); err != nil {
			return nil, fmt.Errorf("what is known of customers: %w", err)
		}
	}
	return known, nil
}

func (m *Memory) note(ctx context.Context, partition int, notes []Note, places []int, known []*Known) error {
	now, k := m.now(), m.keys(partition)
	most := m.Most
	if most == 0 {
		most = Most
	}
	keys := []string{seenKey(k), dueKey(k)}
	args := []any{now.UnixMilli(), Keep.Milliseconds(), mostLog, most}
	for _, i := range places {
		n := notes[i]
		contacts := m.contacts(n.Lead)
		keys = append(keys, contacts...)
		args = append(args, len(contacts), n.Mark.ID, n.Mark.line(), min(n.Mark.Kinds[Enquiry], 1), contactOf(n.Lead))
	}
	answer, err := m.run(ctx, noteScript, keys, args...).Slice()
	if err != nil {
		return err
	}
	if len(answer) != len(places) {
		return fmt.Errorf("%d answers for %d customers", len(answer), len(places))
	}
	for n, i := range places {
		if known[i], err = m.read(answer[n], now, partition); err != nil {
			return err
		}
	}
	return nil
}

// run runs a script, with its text when Redis has forgotten it. The second time does what the first did.
func (m *Memory) run(ctx context.Context, s *redis.Script, keys []string, args ...any) *redis.Cmd {
	c := s.EvalSha(ctx, m.Redis, keys, args...)
	if redis.HasErrorPrefix(c.Err(), "NOSCRIPT") {
		return s.Eval(ctx, m.Redis, keys, args...)
	}
	return c
}

// read reads one customer of a script's answer: key, marks, segments, contact, look.
func (m *Memory) read(answer any, now time.Time, partition int) (*Known, error) {
	row, ok := answer.([]any)
	if !ok || len(row) != 5 {
		return nil, errors.New("an answer of another shape")
	}
	var text [5]string
	for i, v := range row {
		text[i], _ = v.(string)
	}
	k := &Known{Past: readPast(text[1], now), key: text[0], segments: text[2], Contact: &streams.Lead{}, partition: partition}
	_ = json.Unmarshal([]byte(text[3]), k.Contact) // what a hand has written there names nobody
	if ms, err := strconv.ParseFloat(text[4], 64); err == nil {
		k.Look = time.UnixMilli(int64(ms))
	}
	return k, nil
}

// contactOf is who a lead's customer is, as JSON.
func contactOf(l *streams.Lead) string {
	b, err := json.Marshal(&streams.Lead{Name: l.Name, Phone: l.Phone, Email: l.Email, Channel: l.Channel, UserID: l.UserID, Language: l.Language})
	if err != nil || len(b) > mostTold {
		return ""
	}
	return string(b)
}

// Change is what a judgement makes of a customer.
type Change struct {
	Of       *Known
	Segments string          // as ReadSegments reads it
	Look     time.Time       // when to judge again; zero: when something comes
	News     []*streams.Lead // that tell of it: into the intake queue, as a program's leads
}

// Apply carries changes out, each at once or not at all: one that another judgement has overtaken is not, and the
// customer is judged again instead. So news of a change come once, whoever judged, and how often.
func (m *Memory) Apply(ctx context.Context, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	parts := map[int][]Change{}
	for _, c := range changes {
		parts[c.Of.partition] = append(parts[c.Of.partition], c)
	}
	for p, some := range parts {
		k := m.keys(p)
		keys := []string{dueKey(k), k.Queue(streams.Intake)}
		args := []any{m.now().UnixMilli(), Keep.Milliseconds()}
		for _, c := range some {
			look := int64(0)
			if !c.Look.IsZero() {
				look = c.Look.UnixMilli()
			}
			keys = append(keys, c.Of.key)
			args = append(args, c.Of.segments, c.Segments, look, len(c.News))
			for _, l := range c.News {
				b, err := json.Marshal(l)
				if err != nil {
					return fmt.Errorf("news of a segment: %w", err)
				}
				args = append(args, string(b))
			}
		}
		if err := m.run(ctx, changeScript, keys, args...).Err(); err != nil {
			return fmt.Errorf("what is known of customers: %w", err)
		}
	}
	return nil
}

// lookAgain is when a customer who was handed out by Due is due once more, should their judge be gone.
const lookAgain = time.Minute

// Due hands out customers of a partition whose time to be judged has come, at most n.
func (m *Memory) Due(ctx context.Context, partition, n int) ([]*Known, error) {
	now, k := m.now(), m.keys(partition)
	answer, err := m.run(ctx, dueScript, []string{dueKey(k)}, now.UnixMilli(), now.Add(lookAgain).UnixMilli(), n).Slice()
	if err != nil {
		return nil, fmt.Errorf("customers to be judged: %w", err)
	}
	due := make([]*Known, len(answer))
	for i := range answer {
		if due[i], err = m.read(answer[i], now, partition); err != nil {
			return nil, err
		}
	}
	return due, nil
}

// Size is how many customers are remembered.
func (m *Memory) Size(ctx context.Context) (n int64, err error) {
	for p := range max(m.Partitions, 1) {
		one, err := m.Redis.ZCard(ctx, seenKey(m.keys(p))).Result()
		if err != nil {
			return 0, err
		}
		n += one
	}
	return n, nil
}
