package bitrix24

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// pageSize is how many rows a portal's list answers at once: as many may mean more.
const pageSize = 50

// Check asks the portal whether cards can be made, found, and made the way the settings say. It creates nothing, and
// answers all faults at once.
func (s *Sink) Check(ctx context.Context) error {
	profile, err := s.ask(ctx, "profile", nil)
	if err != nil {
		return err // nothing else would work
	}
	return errors.Join(s.checkScope(ctx), s.checkFields(ctx), s.checkBooks(ctx), s.checkSight(ctx, profile))
}

func (s *Sink) ask(ctx context.Context, method string, params map[string]any) (json.RawMessage, error) {
	if params == nil {
		params = map[string]any{}
	}
	r := s.call(ctx, command{method: method, params: params, read: true})
	if r.fail != nil {
		return nil, r.fail.Err
	}
	return r.result, nil
}

func (s *Sink) checkScope(ctx context.Context) error {
	raw, err := s.ask(ctx, "scope", nil)
	if err != nil {
		return err
	}
	var have []string
	if err := json.Unmarshal(raw, &have); err != nil {
		return errors.New("scope: the answer holds no list")
	}
	need := []string{"crm"}
	if s.set.Task.Enabled && s.set.Task.Kind == "task" {
		need = append(need, "task")
	}
	var faults []error
	for _, scope := range need {
		if !slices.Contains(have, scope) {
			faults = append(faults, fmt.Errorf("url: the webhook lacks the scope %s: tick it in the webhook's settings", scope))
		}
	}
	return errors.Join(faults...)
}

// checkFields holds the configured names against the portal's: an unknown one is ignored there without a word.
func (s *Sink) checkFields(ctx context.Context) error {
	params := map[string]any{}
	if !s.api.classic {
		params["entityTypeId"] = s.api.entity
	}
	raw, err := s.ask(ctx, s.api.fieldMethod, params)
	if err != nil {
		return err
	}
	known := object(raw)
	if inner := object(known["fields"]); inner != nil {
		known = inner
	}
	if len(known) == 0 {
		return fmt.Errorf("%s: the answer holds no fields", s.api.fieldMethod)
	}
	names := slices.Sorted(maps.Keys(known))
	var faults []error
	for _, from := range slices.Sorted(maps.Keys(s.set.Fields)) {
		to := s.set.Fields[from]
		if !slices.Contains(names, to) {
			faults = append(faults, fmt.Errorf("fields.%s: the portal has no field %q%s", from, to, didYouMean(to, names)))
		}
	}
	for _, column := range []string{"originatorId", "originId"} {
		if !slices.Contains(names, s.api.named(column)) {
			faults = append(faults, fmt.Errorf("the portal's cards have no %s: leads could not be found again; choose another entity or api", s.api.named(column)))
		}
	}
	return errors.Join(faults...)
}

// checkBooks holds sources and stage against the portal's reference books.
func (s *Sink) checkBooks(ctx context.Context) error {
	used := map[string]string{"source": s.set.Source}
	for from, to := range s.set.Sources {
		used["sources."+from] = to
	}
	faults := []error{s.checkBook(ctx, "SOURCE", used)}
	if s.set.Stage != "" {
		book := "STATUS"
		if s.api.entity == 2 {
			book = "DEAL_STAGE"
			if s.set.Category != 0 {
				book = fmt.Sprintf("DEAL_STAGE_%d", s.set.Category)
			}
		}
		faults = append(faults, s.checkBook(ctx, book, map[string]string{"stage": s.set.Stage}))
	}
	return errors.Join(faults...)
}

func (s *Sink) checkBook(ctx context.Context, book string, used map[string]string) error {
	raw, err := s.ask(ctx, "crm.status.list", map[string]any{"filter": map[string]any{"ENTITY_ID": book}})
	if err != nil {
		return err
	}
	list, ok := rows(raw)
	if !ok {
		return errors.New("crm.status.list: the answer holds no list")
	}
	if len(list) >= pageSize {
		return nil
	}
	var names []string
	for _, row := range list {
		names = append(names, text(row["STATUS_ID"]))
	}
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(used)) {
		if v := used[key]; v != "" && !slices.Contains(names, v) {
			faults = append(faults, fmt.Errorf("%s: the portal's list %s has no %q%s", key, book, v, didYouMean(v, names)))
		}
	}
	return errors.Join(faults...)
}

// checkSight runs the search that must find a card again. Whether its user sees everybody's cards cannot be asked, only
// guessed: an administrator does, and so does one who sees a card of somebody else.
func (s *Sink) checkSight(ctx context.Context, profile json.RawMessage) error {
	probe := s.search(s.api.entity, "check", s.now())
	if _, fail := s.found(s.call(ctx, probe), "check"); fail != nil {
		return fail.Err
	}
	who := object(profile)
	var admin bool
	if json.Unmarshal(who["ADMIN"], &admin) == nil && admin {
		return nil
	}
	owner := "!assignedById"
	if s.api.classic {
		owner = "!ASSIGNED_BY_ID"
	}
	probe.params["filter"] = map[string]any{owner: text(who["ID"])}
	raw, err := s.ask(ctx, probe.method, probe.params)
	if err != nil {
		return err
	}
	if items := object(raw)["items"]; items != nil {
		raw = items
	}
	if list, _ := rows(raw); len(list) == 0 {
		s.log.Warn().Str("sink", s.env.Name).Msg("the webhook's owner is no administrator and sees nobody else's cards: " +
			"if they may read only their own, lost answers end in second cards; let an administrator make the webhook")
	}
	return nil
}

// didYouMean names the nearest known name, if one is near.
func didYouMean(name string, known []string) string {
	best, least := "", len(name)/3+1
	for _, k := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
