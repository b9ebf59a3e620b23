package intent

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

// cpuTime is what this process has used: on a shared machine the clock on the wall says little.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkTrain(b *testing.B) {
	examples, err := defaults()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var m *Model
	start := cpuTime(b)
	for b.Loop() {
		if m, err = Train(examples); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N)/1e6, "cpu-ms/op")
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/(1<<20), "MB-kept")
	runtime.KeepAlive(m)
}

// BenchmarkFit is learning alone, once, without the examination.
func BenchmarkFit(b *testing.B) {
	m := model(b)
	x, y := make([]vector, len(m.examples)), make([]int, len(m.examples))
	for i, e := range m.examples {
		x[i], y[i] = e.x, e.intent
	}
	b.ReportAllocs()
	start := cpuTime(b)
	for b.Loop() {
		learn(x, y, everyRow(len(y)), len(m.vocab.idf))
	}
	b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N)/1e6, "cpu-ms/op")
}

func BenchmarkRead(b *testing.B) {
	m := model(b)
	for name, text := range map[string]string{
		"short":    "сколько стоит стрижка",
		"usual":    "Здравствуйте! Подскажите, сколько стоит замена масла на Kia Rio и можно ли завтра после 6?",
		"English":  "Hi, I'd like to book an oil change for tomorrow at 3pm, how much would it be?",
		"translit": "zdravstvuite skolko stoit manikyur i gde vy nahodites",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			start := cpuTime(b)
			for b.Loop() {
				m.Read(text)
			}
			b.ReportMetric(float64(b.N)/(cpuTime(b)-start).Seconds(), "messages/cpu-s")
		})
	}
}

// BenchmarkExamples reads the examples themselves: what customers write, short and long.
func BenchmarkExamples(b *testing.B) {
	m := model(b)
	b.ReportAllocs()
	start, n := cpuTime(b), 0
	for b.Loop() {
		m.Read(m.examples[n%len(m.examples)].text)
		n++
	}
	b.ReportMetric(float64(b.N)/(cpuTime(b)-start).Seconds(), "messages/cpu-s")
}
