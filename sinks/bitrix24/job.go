package bitrix24

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"leadstream/sinks"
	"leadstream/streams"
	"leadstream/streams/failpoint"
)

// pendingWait is how often a repeat asks whether its first lead has arrived.
const pendingWait = 5 * time.Second

// job is one delivery on its way through the rounds of Deliver. Each round takes those that need it, skips the settled
// ones, and leaves the rest as they were.
type job struct {
	d       sinks.Delivery
	card    string           // id of the card that the lead ends on
	contact string           // of a deal
	fresh   bool             // card was created a moment ago: nothing hangs on it yet
	told    bool             // a repeat's comment is in the card
	merged  bool             // card is the earlier lead's
	closed  bool             // which the business is done with: nobody would look at a comment in it
	note    error            // for a person to know, though the lead has arrived
	settled *streams.Verdict // final
}

func (j *job) unsure() bool { return !j.d.Unsure.IsZero() }

// open tells a job that still needs a card.
func (j *job) open() bool { return j.settled == nil && j.card == "" }

func (j *job) settle(v streams.Verdict) { j.settled = &v }

func pick(jobs []*job, fits func(*job) bool) []*job {
	var out []*job
	for _, j := range jobs {
		if fits(j) {
			out = append(out, j)
		}
	}
	return out
}

// round sends one command for each job.
func (s *Sink) round(ctx context.Context, jobs []*job, ask func(*job) command, then func(*job, reply)) {
	if len(jobs) == 0 {
		return
	}
	cmds := make([]command, len(jobs))
	for i, j := range jobs {
		cmds[i] = ask(j)
	}
	for i, r := range s.calls(ctx, cmds) {
		then(jobs[i], r)
	}
}

// begin takes up what is known of a delivery without asking anybody.
func (s *Sink) begin(d sinks.Delivery) *job {
	j := &job{d: d}
	s.mu.Lock()
	left := s.made[d.Lead.ID]
	s.mu.Unlock()
	j.card, j.contact = left.card, left.contact
	if j.card != "" {
		if wait := left.doubt.Add(s.set.FarLimit).Sub(s.now()); !left.doubt.IsZero() && wait > 0 {
			// The engine remembers the doubt of the try before: after a crash the card is looked for.
			j.settle(streams.Verdict{Result: streams.Wait, After: wait, Err: errors.New("the portal may still be at work on what the card lacks")})
		}
		return j
	}
	if d.Of != nil && d.Of.Pending {
		j.settle(streams.Verdict{Result: streams.Wait, After: pendingWait, Err: errors.New("the lead that this one repeats is still on its way")})
		return j
	}
	if wait := d.Unsure.Add(s.set.FarLimit).Sub(s.now()); j.unsure() && wait > 0 && !failpoint.Seeded(failpoint.LooksTooSoon) {
		j.settle(streams.Verdict{Result: streams.Wait, After: wait, Err: errors.New("the portal may still be at work on the last try")})
	}
	return j
}

// look adopts cards that an earlier try has made.
func (s *Sink) look(ctx context.Context, jobs []*job) {
	jobs = pick(jobs, func(j *job) bool {
		return j.open() && j.unsure() && j.d.Lead.Event == "" && !failpoint.Seeded(failpoint.NoLook)
	})
	s.round(ctx, jobs, func(j *job) command { return s.search(s.api.entity, j.d.Lead.ID, since(j.d)) }, func(j *job, r reply) {
		found, fail := s.found(r, j.d.Lead.ID)
		switch {
		case fail != nil:
			j.settle(stillUnsure(fail))
		case len(found) > 0:
			j.card = found[0]
			if len(found) > 1 {
				j.note = fmt.Errorf("the portal has several cards of this lead: %s; the first is taken, remove the others", strings.Join(found, ", "))
			}
		default:
			if wait := j.d.Unsure.Add(s.set.FarLimit + s.set.IndexLag).Sub(s.now()); wait > 0 && !failpoint.Seeded(failpoint.LooksTooSoon) {
				j.settle(streams.Verdict{Result: streams.Wait, After: wait, Err: errors.New("not found, but the portal's search may lag behind")})
			}
		}
	})
}

// since is a moment before which the card cannot have been made, with a day for clocks that disagree. Searching by
// origin alone would read the portal's whole table.
func since(d sinks.Delivery) time.Time {
	if d.Lead.ReceivedAt.IsZero() {
		return time.Time{}
	}
	t := d.Lead.ReceivedAt
	if d.Unsure.Before(t) && !d.Unsure.IsZero() {
		t = d.Unsure
	}
	return t.Add(-24 * time.Hour)
}

// search finds what carries a lead's id.
func (s *Sink) search(entity int, origin string, from time.Time) command {
	d := s.api
	filter := map[string]any{"=" + d.named("originatorId"): s.set.Originator, "=" + d.named("originId"): origin}
	if !from.IsZero() {
		filter[">="+d.named("createdTime")] = from.Format(time.RFC3339)
	}
	params := map[string]any{
		"filter": filter, "order": map[string]any{d.named("id"): "ASC"}, "start": -1,
		"select": []any{d.named("id"), d.named("originId")},
	}
	if !d.classic {
		params["entityTypeId"] = entity
	}
	return command{method: d.list, params: params, read: true}
}

// found reads a search's answer, lowest id first. Old methods ignore filters that they do not know and answer with
// everything, so each row must show the origin asked for.
func (s *Sink) found(r reply, origin string) ([]string, *streams.Verdict) {
	if r.fail != nil {
		return nil, r.fail
	}
	raw := r.result
	if items := object(raw)["items"]; items != nil {
		raw = items
	}
	list, ok := rows(raw)
	if !ok {
		return nil, &streams.Verdict{Result: streams.Retry, Fault: true, Err: errors.New("searching: the answer holds no list")}
	}
	var ids []string
	for _, row := range list {
		if n := id(row[s.api.named("id")]); n != "" && text(row[s.api.named("originId")]) == origin {
			ids = append(ids, n)
		}
	}
	slices.SortFunc(ids, byID)
	return ids, nil
}

// stillUnsure is the verdict when the search for an earlier try's card has failed: the doubt remains.
func stillUnsure(v *streams.Verdict) streams.Verdict {
	out := *v
	if out.Result == streams.Retry || out.Result == streams.Permanent {
		out.Result = streams.Ambiguous
	}
	return out
}

// contacts finds or makes the contacts of deals to be made.
func (s *Sink) contacts(ctx context.Context, jobs []*job) {
	if s.api.entity != 2 || !s.set.Contact {
		return
	}
	need := func(j *job) bool { return j.open() && j.contact == "" }
	failed := func(j *job, v *streams.Verdict) {
		if j.unsure() {
			j.settle(stillUnsure(v))
		} else {
			j.settle(*v)
		}
	}
	ours := pick(jobs, func(j *job) bool { return need(j) && j.unsure() })
	s.round(ctx, ours, func(j *job) command { return s.search(contactType, j.d.Lead.ID, since(j.d)) }, func(j *job, r reply) {
		if ids, fail := s.found(r, j.d.Lead.ID); fail != nil {
			failed(j, fail)
		} else if len(ids) > 0 {
			j.contact = ids[0]
		}
	})
	known := pick(jobs, func(j *job) bool { return need(j) && j.d.Lead.Phone+j.d.Lead.Email != "" })
	s.round(ctx, known, sameCustomer, func(j *job, r reply) {
		if r.fail != nil {
			failed(j, r.fail)
			return
		}
		var ids []json.RawMessage
		if json.Unmarshal(object(r.result)["CONTACT"], &ids) == nil && len(ids) > 0 {
			j.contact = id(ids[0])
		}
	})
	s.round(ctx, pick(jobs, need), s.newContact, func(j *job, r reply) {
		if r.fail != nil {
			failed(j, r.fail)
			return
		}
		if j.contact = created(r.result); j.contact == "" {
			j.settle(noID("crm.item.add"))
			return
		}
		s.remember(j)
	})
}

// sameCustomer asks for a contact with this phone, or else this e-mail.
func sameCustomer(j *job) command {
	typ, value := "PHONE", j.d.Lead.Phone
	if value == "" {
		typ, value = "EMAIL", j.d.Lead.Email
	}
	return command{method: "crm.duplicate.findbycomm", read: true, params: map[string]any{
		"type": typ, "values": []any{value}, "entity_type": "CONTACT",
	}}
}

func (s *Sink) newContact(j *job) command {
	l := j.d.Lead
	fields := map[string]any{
		"originatorId": s.set.Originator, "originId": l.ID, "sourceId": s.sourceOf(l), "name": cutRunes(l.Name, nameRunes),
	}
	if l.Name == "" {
		fields["name"] = say(s.env.Language).enquiry + " " + l.ID // a contact needs a name
	}
	if s.set.AssignedBy != 0 {
		fields["assignedById"] = s.set.AssignedBy
	}
	s.multi(fields, l)
	return command{method: "crm.item.add", params: map[string]any{"entityTypeId": contactType, "fields": fields}}
}

// create makes the cards that are still missing. Each is sent once; whatever is not a clear answer leaves it unsure.
func (s *Sink) create(ctx context.Context, jobs []*job) {
	s.round(ctx, pick(jobs, (*job).open), s.newCard, func(j *job, r reply) {
		if r.fail != nil {
			v := *r.fail
			if v.Result == streams.Retry && (j.unsure() || j.contact != "") {
				v.Result = streams.Ambiguous // the contact may be ours: it is found by looking, not made again
			}
			j.settle(v)
			return
		}
		if j.card = created(r.result); j.card == "" {
			j.settle(noID(s.api.add))
			return
		}
		j.fresh = true
		item := object(object(r.result)["item"])
		if got, ok := item["originId"]; ok && text(got) != j.d.Lead.ID {
			s.log.Error().Str("lead", j.d.Lead.ID).Msg("the portal did not keep the origin id: a lost answer could not be told from a lost lead")
		}
	})
}

func (s *Sink) newCard(j *job) command {
	fields := s.cardOf(j.d.Lead).fields
	if j.contact != "" {
		fields["contactId"] = j.contact
	}
	params := map[string]any{"fields": fields}
	if s.api.classic {
		params["params"] = map[string]any{"REGISTER_SONET_EVENT": "Y"} // the responsible person is told
	} else {
		params["entityTypeId"] = s.api.entity
	}
	return command{method: s.api.add, params: params}
}

func noID(method string) streams.Verdict {
	return streams.Verdict{Result: streams.Ambiguous, Fault: true, Err: fmt.Errorf("%s: the answer names no id", method)}
}

// mostRemembered bounds what a process remembers of unfinished leads. Forgetting costs a search.
const mostRemembered = 10000

func (s *Sink) remember(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.made) >= mostRemembered {
		clear(s.made)
	}
	left := unfinished{contact: j.contact}
	if !j.merged {
		left.card = j.card
	}
	s.made[j.d.Lead.ID] = left
}

// doubt notes that the portal may still be at work on something for the lead's card.
func (s *Sink) doubt(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if left, ok := s.made[j.d.Lead.ID]; ok { // else this was the last try
		left.doubt = s.now()
		s.made[j.d.Lead.ID] = left
	}
}

// verdict is the last word on a job.
func (s *Sink) verdict(j *job) streams.Verdict {
	if j.settled != nil {
		return *j.settled
	}
	s.mu.Lock()
	delete(s.made, j.d.Lead.ID)
	s.mu.Unlock()
	v := streams.Verdict{Remote: j.card, Err: j.note}
	if j.merged {
		v.Outcome = "merged"
	}
	if j.note != nil {
		s.log.Error().Err(j.note).Str("lead", j.d.Lead.ID).Int("attempt", j.d.Attempt).Msg("the card is there, but a person should look")
	}
	return v
}
