package slots

import (
	"encoding/csv"
	"os"
	"testing"
	"time"
)

// whenFloor is how many of the times that another author wrote, and the examples' author has not seen, must be read as
// that author means them.
const whenFloor = 0.8

func TestTimesByAnotherAuthor(t *testing.T) {
	f, err := os.Open("../testdata/when.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	r := &Reader{Zone: moscow}
	kinds, times, all := 0, 0, len(records)-1
	for _, record := range records[1:] {
		var at [3]time.Time
		for i := range at {
			if at[i], err = time.Parse(time.RFC3339, record[1+i]); err != nil {
				t.Fatal(err)
			}
		}
		w, ok := r.When(record[0], at[0])
		if ok && w.Kind == record[4] {
			kinds++
		}
		if ok && w.Kind == record[4] && w.Start.Equal(at[1]) && (w.End.Equal(at[2]) || w.Kind == Exact) {
			times++
		}
	}
	t.Logf("of %d the kind is right of %d, and the time too of %d", all, kinds, times)
	if float64(times) < whenFloor*float64(all) {
		t.Errorf("%d of %d times are read, the floor is %.2f", times, all, whenFloor)
	}
}
