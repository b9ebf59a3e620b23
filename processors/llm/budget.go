package llm

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Spent is what a day has cost.
type Spent struct {
	Day    string  `json:"day"` // 2006-01-02 in the business's zone
	Calls  int     `json:"calls"`
	Input  int     `json:"input_tokens"`
	Output int     `json:"output_tokens"`
	Money  float64 `json:"money"`
}

// ledger keeps the day's cost, on the disk before a call is made: a crash may count a call that was not made, never
// forget one that was.
type ledger struct {
	file   string
	prices Price
	limit  Budget
	zone   *time.Location
	now    func() time.Time

	mu     sync.Mutex
	spent  Spent
	micros int64 // Spent.Money in millionths
	held   int64 // for calls under way
}

// openLedger reads what an earlier run has spent. When that cannot be read the day counts as spent, where there is a limit:
// else the budget would begin anew at each restart. The ledger is usable all the same, and the error is for the log.
func openLedger(file string, set Settings, zone *time.Location, now func() time.Time) (*ledger, error) {
	l := &ledger{file: file, prices: set.Price, limit: set.Budget, zone: zone, now: now}
	if l.zone == nil {
		l.zone = time.UTC
	}
	if file == "" {
		return l, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &l.spent)
	}
	if err != nil {
		l.spent = Spent{Day: l.day(), Calls: l.limit.Calls, Money: l.limit.Money}
	}
	l.micros = micro(l.spent.Money)
	return l, err
}

// usage is what a call has used.
type usage struct {
	in, out int
	told    bool // by the server
}

// price is what tokens cost.
func (l *ledger) price(in, out int) float64 {
	return (float64(in)*l.prices.Input + float64(out)*l.prices.Output) / 1e6
}

// guess is what a prompt of so many bytes counts at most, nearly: a token has two bytes or more in all but odd texts.
func guess(bytes int) int { return bytes/2 + 50 }

// reserve takes a call out of the day's budget, at the most it can cost; false: there is no room for it.
func (l *ledger) reserve(bytes, tokens int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn()
	most := micro(l.price(guess(bytes), tokens))
	if l.limit.Calls > 0 && l.spent.Calls >= l.limit.Calls || l.limit.Money > 0 && l.micros+l.held+most > micro(l.limit.Money) {
		return false
	}
	before := l.spent
	l.spent.Calls++
	l.held += most
	if l.save() != nil { // what cannot be counted is not spent
		l.spent, l.held = before, l.held-most
		return false
	}
	return true
}

// settle puts what a call has really used in the place of what was reserved. A server that does not say what it has used may
// have used the most.
func (l *ledger) settle(u usage, sent bool, bytes, tokens int) (in, out int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = max(l.held-micro(l.price(guess(bytes), tokens)), 0)
	if !u.told && sent {
		u.in, u.out = guess(bytes), tokens
	}
	l.turn()
	l.spent.Input += u.in
	l.spent.Output += u.out
	l.micros += micro(l.price(u.in, u.out))
	l.spent.Money = float64(l.micros) / 1e6
	_ = l.save() // the next reserve says no if it cannot
	return u.in, u.out
}

// turn begins a new day.
func (l *ledger) turn() {
	if day := l.day(); day != l.spent.Day {
		l.spent, l.micros = Spent{Day: day}, 0
	}
}

func (l *ledger) day() string { return l.now().In(l.zone).Format(time.DateOnly) }

func (l *ledger) today() Spent {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn()
	return l.spent
}

// save writes the file whole or not at all.
func (l *ledger) save() error {
	if l.file == "" {
		return nil
	}
	kept := l.spent
	kept.Money = float64(l.micros+l.held) / 1e6
	text, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(l.file), ".llm-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), l.file)
}
