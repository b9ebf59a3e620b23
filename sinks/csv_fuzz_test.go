package sinks

import (
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"leadstream/streams"
)

// FuzzCSVRow holds the writer of CSV to encoding/csv: a row reads back as the very cells that were meant, whatever a
// customer writes, and stays one row with as many cells as the header.
func FuzzCSVRow(f *testing.F) {
	f.Add("Анна", "+79990000011", "=1+1", `a";b`, "a\r\n\"b,c\"\n;d\r")
	f.Add("\xff\xfe", "8 (999) 000-00-11", "\ufeff=x", "\t", "\"\"\"")
	f.Fuzz(func(t *testing.T, name, phone, message, field, failure string) {
		for _, separator := range []string{",", ";", "\t"} {
			file := &CSVFile{separator: separator, language: "ru", zone: time.UTC, columns: append(ColumnNames(), "fields.f")}
			raw, err := json.Marshal(field)
			if err != nil {
				t.Fatal(err)
			}
			row := Row{Destination: "crm", Error: failure, Attempts: 5, At: time.Unix(0, 0), Lead: &streams.Lead{
				ID: "x", Name: name, Phone: phone, Message: message, Tags: []string{name, field}, Problems: []string{message, failure},
				UTM: map[string]string{"source": field}, Fields: map[string]json.RawMessage{"f": raw}}}
			var b strings.Builder
			encode(&b, file.header(), separator)
			encode(&b, file.cells(row), separator)
			r := csv.NewReader(strings.NewReader(b.String()))
			r.Comma = rune(separator[0])
			records, err := r.ReadAll()
			if err != nil || len(records) != 2 {
				t.Fatalf("%q: %d records, %v", b.String(), len(records), err)
			}
			if want := file.cells(row); !slices.Equal(records[1], want) {
				t.Errorf("got %q, want %q", records[1], want)
			}
			if strings.Count(b.String(), "\r\n") != 2 {
				t.Errorf("%q has CR LF inside a row", b.String())
			}
		}
	})
}
