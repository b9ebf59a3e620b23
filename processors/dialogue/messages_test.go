package dialogue

import (
	"encoding/csv"
	"os"
	"slices"
	"strings"
	"testing"
)

// What may hurt happens to nobody who did not ask for it: of the examination's messages, each a first one of a customer who
// has a visit today, only those that cancel cancel, only those that book book, and nobody who complains is offered anything.
func TestFirstMessages(t *testing.T) {
	allowed := map[string][]string{"cancel": {"cancel"}, "sure": {"cancel", "address"}, "confirmed": {"booking"}, "moved": {"reschedule"}}
	handed, silent, all := 0, 0, 0
	for _, file := range []string{"dev.csv", "messages.csv"} {
		f, err := os.Open("../testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r := csv.NewReader(f)
		r.FieldsPerRecord = -1
		rows, err := r.ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows[1:] {
			c := talkTo(t, (&days{}).on(0, "14:00", "16:30").on(1, "10:00", "12:00", "15:00").on(4, "11:00"))
			booked("18:00")(c)
			c.says(row[0])
			labels := strings.Split(row[1], "+")
			for _, s := range c.last.Say {
				may, limited := allowed[s.Template]
				if limited && !slices.ContainsFunc(labels, func(l string) bool { return slices.Contains(may, l) }) || row[1] == "complaint" && !slices.Contains([]string{"person", "clarify"}, s.Template) {
					t.Errorf("%q (%s) is answered %s", row[0], row[1], s.Template)
				}
			}
			all++
			switch {
			case c.last.Person != "":
				handed++
			case len(c.last.Say) == 0:
				silent++
			}
		}
	}
	t.Logf("%d messages: %d answered, %d left to a person, %d need no answer", all, all-handed-silent, handed, silent)
}
