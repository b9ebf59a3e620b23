package bitrix24

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"leadstream/streams"
)

// attach puts repeats into the card of the lead that they repeat, and news into that of the lead that they are about. A
// repeat whose first lead is not in the portal, or was deleted by a manager, stays open and becomes a card of its own.
func (s *Sink) attach(ctx context.Context, jobs []*job) {
	defer cardless(jobs)
	jobs = pick(jobs, func(j *job) bool { return j.open() && j.d.Of != nil })
	for _, j := range jobs {
		if n := j.d.Of.Remote; n != "" {
			j.card, j.merged = n, true
		}
	}
	lost := pick(jobs, func(j *job) bool { return !j.merged && j.d.Lead.RepeatOf != "" })
	s.round(ctx, lost, func(j *job) command { return s.search(s.api.entity, j.d.Lead.RepeatOf, before(j.d.Lead)) }, func(j *job, r reply) {
		ids, fail := s.found(r, j.d.Lead.RepeatOf)
		switch {
		case fail != nil:
			s.failRepeat(j, fail)
		case len(ids) > 0:
			j.card, j.merged = ids[0], true
		}
	})
	s.update(ctx, pick(jobs, func(j *job) bool { return j.settled == nil && j.merged }))
	merging := func(j *job) bool { return j.settled == nil && j.merged && !j.told }
	s.round(ctx, pick(jobs, func(j *job) bool { return merging(j) && j.unsure() }), s.listComments, func(j *job, r reply) {
		texts, fail := notes(r)
		switch {
		case fail != nil && gone(fail):
			j.card, j.merged = "", false
		case fail != nil:
			s.failRepeat(j, fail)
		default:
			j.told = mentions(texts, marker(j.d.Lead.ID, 0))
		}
	})
	s.round(ctx, pick(jobs, merging), func(j *job) command {
		return s.comment(j, s.headline(j.d.Lead)+"\n"+cutBytes(defused(s.whole(j.d.Lead)), textBytes-200)+"\n"+marker(j.d.Lead.ID, 0))
	}, func(j *job, r reply) {
		switch {
		case r.fail == nil && created(r.result) == "":
			j.settle(noID("crm.timeline.comment.add"))
		case r.fail == nil:
			j.told = true
		case gone(r.fail):
			j.card, j.merged = "", false
		default:
			s.failRepeat(j, r.fail)
		}
	})
}

// before is a moment before which a repeat's first lead cannot have come.
func before(l *streams.Lead) time.Time {
	if l.ReceivedAt.IsZero() {
		return time.Time{}
	}
	return l.ReceivedAt.AddDate(0, -1, 0)
}

// failRepeat keeps a doubt that was there before.
func (s *Sink) failRepeat(j *job, v *streams.Verdict) {
	if j.unsure() {
		j.settle(stillUnsure(v))
		return
	}
	j.settle(*v)
}

func (s *Sink) comment(j *job, text string) command {
	return command{method: "crm.timeline.comment.add", params: map[string]any{"fields": map[string]any{
		"ENTITY_ID": j.card, "ENTITY_TYPE": s.api.entityName, "COMMENT": text,
	}}}
}

func (s *Sink) listComments(j *job) command {
	return command{method: "crm.timeline.comment.list", read: true, params: map[string]any{
		"filter": map[string]any{"ENTITY_ID": j.card, "ENTITY_TYPE": s.api.entityName},
		"select": []any{"ID", "COMMENT"}, "order": map[string]any{"ID": "DESC"},
	}}
}

// lookWhether asks of the cards that enquiries were attached to whether the business is done with them.
func (s *Sink) lookWhether(ctx context.Context, jobs []*job) {
	jobs = pick(jobs, func(j *job) bool {
		return j.settled == nil && j.merged && !j.d.Lead.Hot && speaks(j.d.Lead) && s.set.Task.Enabled
	})
	s.round(ctx, jobs, func(j *job) command {
		if s.api.classic {
			return command{method: "crm.lead.get", read: true, params: map[string]any{"id": j.card}}
		}
		return command{method: "crm.item.get", read: true, params: map[string]any{"entityTypeId": s.api.entity, "id": j.card}}
	}, func(j *job, r reply) {
		switch {
		case r.fail == nil:
			j.closed = s.ended(r.result)
		case !gone(r.fail):
			s.incomplete(step{j: j, name: "a look at whether it is closed"}, r.fail)
		}
	})
}

// ended reads a card's stage: S is won, F is lost. Portals that do not say so are known by the names of their first stages.
func (s *Sink) ended(result json.RawMessage) bool {
	card := object(result)
	stage, meaning := text(card["STATUS_ID"]), text(card["STATUS_SEMANTIC_ID"])
	if !s.api.classic {
		card = object(card["item"])
		stage, meaning = text(card["stageId"]), text(card["stageSemanticId"])
	}
	if _, after, ok := strings.Cut(stage, ":"); ok { // of another pipeline
		stage = after
	}
	switch meaning {
	case "S", "F":
		return true
	case "":
		return slices.Contains([]string{"CONVERTED", "JUNK", "WON", "LOSE", "APOLOGY"}, stage)
	}
	return false
}

// step is one thing that hangs on a card.
type step struct {
	j      *job
	marker string
	name   string // for the note when it is missing in the end
	add    command
	list   command
}

// complete adds what a card is to have besides itself: the whole text when it did not fit, a task when the lead is hot, or
// when it has come to a card that is closed.
// The lead has arrived already, so nothing here makes it a dead letter: what keeps failing is told as a note.
func (s *Sink) complete(ctx context.Context, jobs []*job) {
	s.lookWhether(ctx, jobs)
	var steps []step
	for _, j := range pick(jobs, func(j *job) bool { return j.settled == nil && j.card != "" }) {
		steps = append(steps, s.stepsOf(j)...)
	}
	steps = s.missing(ctx, steps)
	cmds := make([]command, len(steps))
	for i, st := range steps {
		cmds[i] = st.add
	}
	for i, r := range s.patiently(ctx, cmds) {
		if r.fail == nil && created(r.result) == "" {
			v := noID(steps[i].add.method)
			r.fail = &v
		}
		if r.fail != nil {
			s.incomplete(steps[i], r.fail)
		}
	}
	s.attachFiles(ctx, pick(jobs, func(j *job) bool { return j.settled == nil && j.card != "" }))
}

func (s *Sink) stepsOf(j *job) []step {
	var steps []step
	l := j.d.Lead
	if !j.merged && s.cardOf(l).cut {
		w := say(s.env.Language)
		for i, part := range split(defused(s.whole(l)), textBytes-200) {
			m := marker(l.ID, i)
			steps = append(steps, step{j, m, "the comment with the whole text", s.comment(j, w.whole+"\n"+part+"\n"+m), s.listComments(j)})
		}
	}
	if (l.Hot || j.closed) && speaks(l) && s.set.Task.Enabled {
		steps = append(steps, s.task(j))
	}
	return steps
}

func (s *Sink) task(j *job) step {
	l, w := j.d.Lead, say(s.env.Language)
	title := w.task
	if j.closed {
		title = w.again
	}
	if l.Name != "" {
		title += ": " + l.Name
	}
	text := cutBytes(defused(s.whole(l)), textBytes-200) + "\n" + marker(l.ID, 0)
	deadline := s.now().Add(s.set.Task.Deadline).In(s.env.Zone).Format(time.RFC3339)
	st := step{j: j, marker: marker(l.ID, 0), name: "the manager's task"}
	if s.set.Task.Kind == "task" {
		link := s.api.taskPrefix + j.card
		st.add = command{method: "tasks.task.add", params: map[string]any{"fields": map[string]any{
			"TITLE": cutRunes(title, lineRunes), "DESCRIPTION": text, "DEADLINE": deadline,
			"RESPONSIBLE_ID": s.set.responsible(), "UF_CRM_TASK": []any{link},
		}}}
		st.list = command{method: "tasks.task.list", read: true, params: map[string]any{
			"filter": map[string]any{"UF_CRM_TASK": link}, "select": []any{"ID", "DESCRIPTION"}, "order": map[string]any{"ID": "desc"},
		}}
		return st
	}
	params := map[string]any{
		"ownerTypeId": s.api.entity, "ownerId": j.card, "deadline": deadline,
		"title": cutRunes(title, lineRunes), "description": text,
	}
	if n := s.set.responsible(); n != 0 {
		params["responsibleId"] = n
	}
	st.add = command{method: "crm.activity.todo.add", params: params}
	st.list = command{method: "crm.activity.list", read: true, params: map[string]any{
		"filter": map[string]any{"OWNER_TYPE_ID": s.api.entity, "OWNER_ID": j.card},
		"select": []any{"ID", "DESCRIPTION"}, "order": map[string]any{"ID": "DESC"},
	}}
	return st
}

// missing drops the steps that an earlier try has taken. On a fresh card there can be none; a repeat that surely was
// not sent before has none either.
func (s *Sink) missing(ctx context.Context, steps []step) []step {
	var todo, doubtful []step
	var asks []command
	for _, st := range steps {
		if st.j.fresh || st.j.merged && !st.j.unsure() {
			todo = append(todo, st)
			continue
		}
		doubtful, asks = append(doubtful, st), append(asks, st.list)
	}
	for i, r := range s.calls(ctx, asks) {
		texts, fail := notes(r)
		switch {
		case fail != nil:
			s.incomplete(doubtful[i], fail)
		case !mentions(texts, doubtful[i].marker):
			todo = append(todo, doubtful[i])
		}
	}
	return todo
}

// patiently repeats what the portal refused only for coming too fast, as long as that takes seconds: a hot lead's task
// should not wait for the queue's next turn.
func (s *Sink) patiently(ctx context.Context, cmds []command) []reply {
	replies := s.calls(ctx, cmds)
	for range 2 {
		var again []int
		var wait time.Duration
		for i, r := range replies {
			if r.fail != nil && strings.EqualFold(r.fail.Code, "query_limit_exceeded") {
				again, wait = append(again, i), max(wait, r.fail.After)
			}
		}
		if again == nil {
			break
		}
		select {
		case <-ctx.Done():
			return replies
		case <-s.after(wait):
		}
		part := make([]command, len(again))
		for k, i := range again {
			part[k] = cmds[i]
		}
		for k, r := range s.calls(ctx, part) {
			replies[again[k]] = r
		}
	}
	return replies
}

// incomplete decides about a card without one of its steps: as long as it may help and attempts are left, the lead comes
// back, finds its card and goes on from there; else it is delivered, with a note.
func (s *Sink) incomplete(st step, v *streams.Verdict) {
	j := st.j
	hopeless := v.Result == streams.Permanent || v.Result == streams.Pause && v.After >= config
	if hopeless || j.d.Attempt >= Kind.Policy.Attempts-1 {
		j.note = errors.Join(j.note, fmt.Errorf("card %s lacks %s: %w", j.card, st.name, v.Err))
		return
	}
	s.remember(j)
	again := *v
	again.Result, again.Scope, again.PauseKey = streams.Ambiguous, "", ""
	again.Err = fmt.Errorf("card %s still lacks %s: %w", j.card, st.name, v.Err)
	j.settle(again)
}

// notes reads the texts of comments, activities or tasks.
func notes(r reply) ([]string, *streams.Verdict) {
	if r.fail != nil {
		return nil, r.fail
	}
	raw := r.result
	if tasks := object(raw)["tasks"]; tasks != nil {
		raw = tasks
	}
	list, ok := rows(raw)
	if !ok {
		return nil, &streams.Verdict{Result: streams.Retry, Fault: true, Err: errors.New("looking for the marker: the answer holds no list")}
	}
	var texts []string
	for _, row := range list {
		for _, k := range []string{"COMMENT", "DESCRIPTION", "description"} {
			texts = append(texts, text(row[k]))
		}
	}
	return texts, nil
}

func mentions(texts []string, marker string) bool {
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(t, marker) })
}
