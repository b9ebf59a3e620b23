package intent

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestDev(t *testing.T) {
	ex, err := Defaults()
	if err != nil {
		t.Fatal(err)
	}
	m, err := Train(ex)
	if err != nil {
		t.Fatal(err)
	}
	n, f := m.Size()
	fmt.Printf("took %v, %d examples, %d features\nlimits %+v\n", m.Took(), n, f, m.Limits())
	c := m.Check()
	fmt.Printf("acc %.3f prec %.3f cov %.3f auroc %.3f\n", c.Accuracy, c.Precision, c.Coverage, c.AUROC)
	for _, i := range c.Intents {
		fmt.Printf("  %-13s %3d/%3d  %s %d\n", i.Intent, i.Right, i.Asked, i.Missed, i.Times)
	}
	b, _ := os.ReadFile("../testdata/intents.tsv")
	right, ans, good, all := 0, 0, 0, 0
	for _, l := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		want, text, _ := strings.Cut(l, "\t")
		r := m.Read(text)
		got := r.Intent
		ok := got == want || want == "address" && got == Hours
		all++
		if ok {
			right++
		}
		if r.Answered {
			ans++
			if ok {
				good++
			}
		}
		if !ok {
			fmt.Printf("%-12s %-12s %.2f %v %q %v %s\n", want, got, r.Confidence, r.Answered, text, r.Intents, r.Rule)
		}
	}
	fmt.Printf("tsv acc %d/%d  answered %d good %d\n", right, all, ans, good)
	for _, s := range []string{"ghbdtn? crjkmrj cnjbn cnhb;rf", "skolko stoit pokrasit bamper", "рщц ьгср шы ше", "gde vy nahodites?", "Здравствуйте! Сколько стоит стрижка и где вы находитесь?", "Привееет", "kogda mozhno zabrat mashinu", "do you fix bmw", "хочу зaпиcaтьcя", "отмените запись, и сколько стоит штраф", "zapis na zavtra est?"} {
		r := m.Read(s)
		ex, l := m.Nearest(s, r.Intent)
		fmt.Printf("%q -> %q %+v ~ %s %.2f\n", s, m.text.letters.repair(s), r, ex, l)
	}
	start := time.Now()
	for range 2000 {
		m.Read("Здравствуйте! Подскажите, сколько стоит замена масла и где вы находитесь?")
	}
	fmt.Println(time.Since(start)/2000, "per message")
}
