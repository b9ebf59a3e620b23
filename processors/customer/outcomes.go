package customer

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// mostOutcomes is how many are kept of a partition: the latest.
const mostOutcomes = 5000

// Outcome is what became of an enquiry: the deal was won or lost.
type Outcome struct {
	Of      *Known // whose; only to keep it
	ID      string // of the enquiry
	Reasons uint32 // why it was scored as it was
	Won     bool
}

func (o *Outcome) member(won string) string {
	return o.ID + " " + strconv.FormatUint(uint64(o.Reasons), 36) + " " + won
}

// Keep keeps outcomes. The same one again changes nothing; another of the same enquiry takes its place.
func (m *Memory) Keep(ctx context.Context, outcomes []Outcome) error {
	if len(outcomes) == 0 {
		return nil
	}
	pipe := m.Redis.Pipeline()
	for _, o := range outcomes {
		key := m.keys(o.Of.partition).Queue("customers:outcomes")
		is, was := o.member("won"), o.member("lost")
		if !o.Won {
			is, was = was, is
		}
		pipe.ZRem(ctx, key, was)
		pipe.ZAdd(ctx, key, redis.Z{Score: float64(m.now().UnixMilli()), Member: is})
		pipe.ZRemRangeByRank(ctx, key, 0, -mostOutcomes-1)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("outcomes: %w", err)
	}
	return nil
}

// Outcomes are all that are kept.
func (m *Memory) Outcomes(ctx context.Context) (all []Outcome, err error) {
	for p := range max(m.Partitions, 1) {
		members, err := m.Redis.ZRange(ctx, m.keys(p).Queue("customers:outcomes"), 0, -1).Result()
		if err != nil {
			return nil, err
		}
		for _, text := range members {
			parts := strings.Split(text, " ")
			if len(parts) != 3 {
				continue
			}
			bits, err := strconv.ParseUint(parts[1], 36, 32)
			if err == nil {
				all = append(all, Outcome{ID: parts[0], Reasons: uint32(bits), Won: parts[2] == "won"})
			}
		}
	}
	return all, nil
}
