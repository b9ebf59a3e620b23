// Package fetch brings what leads lack when they come: the files of which a messenger has told only an id or a link that
// soon expires (IN-12), and the answers of a lead ad's form of which only the number came. It asks the services, keeps what
// they give, and says when a lead is whole; how leads wait meanwhile is the engine's.
package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"leadstream/streams"
	"leadstream/streams/media"
)

// Fetcher completes leads. A lead's files may take until Settings.Wait: then it goes on without those that have not come,
// and they follow as a lead of their own that repeats it. An answer to a form may take as long as it takes: the lead is
// nothing without.
//
// What was decided of a lead is written down before the lead goes on: a crash decides nothing anew, so that no file comes
// twice.
type Fetcher struct {
	Store    *media.Store
	Settings media.Settings
	Sources  map[string]*Source // by name; others have nothing to fetch
	Region   string             // of phone numbers written without a country
	Metrics  *Metrics           // nil: nothing is counted
	Log      zerolog.Logger

	// Take makes a lead durable, once for its Key: the files of a lead that has gone on without them.
	Take func(ctx context.Context, l *streams.Lead) error

	mu      sync.Mutex
	ctx     context.Context // of Run; nil before
	done    sync.WaitGroup
	tasks   map[string]*task // by lead id
	working map[room]int     // tasks at work
}

// room is what tasks share: a source that gives nothing fills its own, and the patient do not fill that of the others.
type room struct {
	source  string
	patient bool
}

// task is one lead that is being completed.
type task struct {
	room
	began time.Time
	ended time.Time // zero: at work
	got   result
	fate  *streams.Verdict // instead of got: it will never be whole
}

// result is what was decided of a lead.
type result struct {
	Media []streams.Media `json:"media,omitempty"` // as Lead.Media
	Form  json.RawMessage `json:"form,omitempty"`  // the answer to Lead.Ref
}

const (
	mostTasks = 1000             // leads at work in each room; others wait for their turn without a goroutine
	memory    = 10 * time.Minute // for which an ended task is known without a look at the disk
)

// Run lets leads be completed until ctx ends, and returns when nobody is at work any more.
func (f *Fetcher) Run(ctx context.Context) error {
	f.mu.Lock()
	f.ctx, f.tasks, f.working = ctx, map[string]*task{}, map[room]int{}
	for _, s := range f.Sources {
		for _, patient := range []bool{false, true} {
			s.slots[patient] = make(chan struct{}, max(f.Settings.Workers, 1))
		}
	}
	f.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			f.mu.Lock()
			f.ctx = nil
			f.mu.Unlock()
			f.done.Wait()
			return nil
		case <-time.After(time.Minute):
			f.forget()
		}
	}
}

func (f *Fetcher) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, t := range f.tasks {
		if !t.ended.IsZero() && time.Since(t.ended) > memory {
			delete(f.tasks, id)
		}
	}
}

// lacks says whether anything of the lead is still to be fetched.
func lacks(l *streams.Lead) bool {
	return l.Ref != "" || slices.ContainsFunc(l.Media, unsettled)
}

func unsettled(m streams.Media) bool { return m.Hash == "" && m.Problem == "" }

// Complete is processors.Completer.
func (f *Fetcher) Complete(l *streams.Lead) (streams.Verdict, bool) {
	if !lacks(l) {
		return streams.Verdict{}, true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tasks[l.ID]
	if t == nil {
		got, decided := f.decided(l.ID)
		if decided && follower(l, got.Media) == nil {
			return f.apply(l, got)
		}
		if f.ctx == nil || f.ctx.Err() != nil || f.working[roomOf(l)] >= mostTasks {
			return streams.Verdict{Result: streams.Wait, After: time.Second}, false
		}
		t = &task{began: time.Now(), room: roomOf(l)}
		f.tasks[l.ID] = t
		f.working[t.room]++
		mine := *l
		mine.Media = slices.Clone(l.Media)
		ctx := f.ctx
		f.done.Go(func() {
			if decided { // a crash came before the lead had gone on
				f.end(t, got, nil, f.follow(ctx, &mine, got))
			} else {
				f.work(ctx, t, &mine)
			}
		})
	}
	switch {
	case t.ended.IsZero():
		// Asked again soon at first, for most is there in a moment.
		most := 5 * time.Second
		if t.patient {
			most = 30 * time.Second
		}
		return streams.Verdict{Result: streams.Wait, After: min(max(time.Since(t.began)/2, 150*time.Millisecond), most)}, false
	case t.fate != nil:
		delete(f.tasks, l.ID) // a replay tries anew
		return *t.fate, false
	}
	return f.apply(l, t.got)
}

// apply completes the lead by what was decided.
func (f *Fetcher) apply(l *streams.Lead, got result) (streams.Verdict, bool) {
	if len(got.Media) == len(l.Media) {
		l.Media = slices.Clone(got.Media)
	}
	if l.Ref != "" {
		l.Ref = ""
		f.fill(l, got.Form)
	}
	if l.BringsFiles() && !slices.ContainsFunc(l.Media, func(m streams.Media) bool { return m.Hash != "" }) {
		return streams.Verdict{Result: streams.Drop, Reason: "no file"}, false // the card says already that they are missing
	}
	return streams.Verdict{}, true
}

func (f *Fetcher) decided(id string) (got result, ok bool) {
	text, err := f.Store.Read(id)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			f.Log.Error().Err(err).Str("lead", id).Msg("what was fetched for it cannot be read, it is fetched again")
		}
		return got, false
	}
	return got, json.Unmarshal(text, &got) == nil
}

// patient tells leads that may wait for hours, while a token is refused or a service is down. Those whose customers wait
// for an answer have their own room, and are not kept by them.
func patient(l *streams.Lead) bool { return l.Ref != "" || l.BringsFiles() }

func roomOf(l *streams.Lead) room { return room{l.Source, patient(l)} }

// work completes one lead.
func (f *Fetcher) work(ctx context.Context, t *task, l *streams.Lead) {
	got, fate, err := f.whole(ctx, l)
	if err == nil && fate == nil {
		err = f.decide(ctx, l, got)
	}
	f.end(t, got, fate, err)
}

// end makes a task's outcome known. An error is a stop: the task has no end, and the next start takes it up.
func (f *Fetcher) end(t *task, got result, fate *streams.Verdict, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.working[t.room]--
	if err != nil {
		return
	}
	t.got, t.fate, t.ended = got, fate, time.Now()
}

// decide writes down what becomes of the lead, and has what it goes on without follow it.
func (f *Fetcher) decide(ctx context.Context, l *streams.Lead, got result) error {
	text, err := json.Marshal(got)
	if err == nil {
		err = f.Store.Write(l.ID, text)
	}
	if err != nil {
		// The lead goes on all the same. After a crash before it has, it is fetched again; what follows would then come twice.
		f.Log.Error().Err(err).Str("lead", l.ID).Msg("what was fetched is not written down")
		for i := range got.Media {
			if got.Media[i].Problem == media.Late {
				got.Media[i].Problem = media.Failed
			}
		}
		return nil
	}
	return f.follow(ctx, l, got)
}

// follow has the files that l goes on without taken as a lead of their own, once however often it is called.
func (f *Fetcher) follow(ctx context.Context, l *streams.Lead, got result) error {
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		later := follower(l, got.Media)
		if later == nil {
			return nil
		}
		err := f.Take(ctx, later)
		if err == nil {
			return nil
		}
		f.Log.Warn().Err(err).Str("lead", l.ID).Msg("the files that follow it are not taken yet")
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// follower is the lead that brings the files which l goes on without; nil when there are none. It has no contacts: it must
// not hold up what its customer writes meanwhile.
func follower(l *streams.Lead, all []streams.Media) *streams.Lead {
	var late []streams.Media
	for _, m := range all {
		if m.Problem == media.Late {
			m.Problem = ""
			late = append(late, m)
		}
	}
	if late == nil {
		return nil
	}
	first := l.RepeatOf
	if first == "" {
		first = l.ID
	}
	return &streams.Lead{Source: l.Source, Key: streams.LateKey + l.ID, Channel: l.Channel, Name: l.Name, EventAt: l.EventAt, RepeatOf: first, Media: late}
}

// whole fetches until all is there or given up.
func (f *Fetcher) whole(ctx context.Context, l *streams.Lead) (got result, fate *streams.Verdict, err error) {
	if l.Ref != "" {
		if got.Form, fate, err = f.form(ctx, l); fate != nil || err != nil {
			return got, fate, err
		}
	}
	got.Media, err = f.files(ctx, l)
	return got, nil, err
}

// form asks for the answers of a form, as long as it takes.
func (f *Fetcher) form(ctx context.Context, l *streams.Lead) (json.RawMessage, *streams.Verdict, error) {
	for n := 0; ; n++ {
		var form json.RawMessage
		fl := f.once(ctx, l, nil, func(ctx context.Context, s *Source) (fl *fault) {
			form, fl = s.form(ctx, l.Ref)
			return fl
		})
		switch {
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case fl == nil:
			return form, nil, nil
		case fl.final != "":
			return nil, &streams.Verdict{Result: streams.Permanent, Code: fl.final, Err: fl.err}, nil
		}
		f.Log.Warn().Err(fl.err).Str("lead", l.ID).Str("source", l.Source).Msg("the form's answers are not there yet")
		if !sleep(ctx, max(fl.after, backoff(n, 5*time.Minute))) {
			return nil, nil, ctx.Err()
		}
	}
}

// files fetches a lead's files, those that can be had in time.
func (f *Fetcher) files(ctx context.Context, l *streams.Lead) ([]streams.Media, error) {
	until := time.Now().Add(f.Settings.Wait)
	if l.BringsFiles() {
		until = l.ReceivedAt.Add(f.Settings.GiveUp)
	}
	stop := ctx
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	all := slices.Clone(l.Media)
	for n := 0; ; n++ {
		after := time.Duration(0)
		for i := range all {
			if !unsettled(all[i]) {
				continue
			}
			fl := f.once(ctx, l, &all[i], func(ctx context.Context, s *Source) *fault {
				var fl *fault
				all[i], fl = s.file(ctx, f.Store, all[i])
				return fl
			})
			switch {
			case stop.Err() != nil:
				return nil, stop.Err()
			case fl != nil && fl.final != "":
				all[i].Problem = fl.final
				f.Log.Warn().Err(fl.err).Str("lead", l.ID).Str("source", l.Source).Str("problem", fl.final).Msg("a file cannot be had")
			case fl != nil:
				after = max(after, fl.after)
				f.Log.Warn().Err(fl.err).Str("lead", l.ID).Str("source", l.Source).Msg("a file is not there yet")
			}
			if !unsettled(all[i]) {
				f.Metrics.file(l.Source, all[i].Problem)
			}
		}
		if !slices.ContainsFunc(all, unsettled) {
			return all, nil
		}
		wait := max(after, backoff(n, time.Minute))
		if ctx.Err() == nil && sleep(ctx, min(wait, time.Until(until))) && time.Until(until) > 0 {
			continue
		}
		if stop.Err() != nil {
			return nil, stop.Err()
		}
		for i := range all {
			if unsettled(all[i]) {
				all[i].Problem = media.Late
				if l.BringsFiles() {
					all[i].Problem = media.Failed
				}
				f.Metrics.file(l.Source, all[i].Problem)
			}
		}
		return all, nil
	}
}

// once asks a source for a file, or the answers of a form, when there is a slot and the source does not rest.
func (f *Fetcher) once(ctx context.Context, l *streams.Lead, file *streams.Media, ask func(context.Context, *Source) *fault) *fault {
	s := f.Sources[l.Source]
	if s == nil {
		return &fault{final: media.Unfetched, err: errors.New("the source has nothing to ask")}
	}
	token := file == nil || s.asks(*file)
	if rest := s.resting(time.Now()); rest != nil && (token || !rest.denied) {
		return rest
	}
	select {
	case s.slots[patient(l)] <- struct{}{}:
		defer func() { <-s.slots[patient(l)] }()
	case <-ctx.Done():
		return &fault{err: ctx.Err()}
	}
	fl := ask(ctx, s)
	if token || fl != nil {
		s.heard(fl, time.Now())
	}
	return fl
}

// Denied says of which sources nothing can be fetched until a person does something, and why.
func (f *Fetcher) Denied() map[string]error {
	denied := map[string]error{}
	if f == nil {
		return denied
	}
	for name, s := range f.Sources {
		if err := s.denied(); err != nil {
			denied[name] = err
		}
	}
	return denied
}

// backoff grows from a second.
func backoff(n int, most time.Duration) time.Duration {
	return min(time.Second<<min(n, 20), most)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// fault is why something did not come.
type fault struct {
	final  string        // it never will: one of media's problems
	denied bool          // a person has to do something about the source
	after  time.Duration // not before
	rest   bool          // nothing else of the source before, either
	err    error         // without secrets or people's data
}

func temporary(err error) *fault { return &fault{err: err} }

func final(problem string, format string, args ...any) *fault {
	return &fault{final: problem, err: fmt.Errorf(format, args...)}
}
