package drill

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Plots are plain SVG within the page: they need no script and no net, and take their colours from the page's style.

type plot struct {
	strings.Builder
	width, height            float64
	left, right, top, bottom float64
}

func newPlot(width, height float64) *plot {
	p := &plot{width: width, height: height, left: 64, right: 16, top: 44, bottom: 34}
	return p
}

func (p *plot) add(format string, a ...any) { fmt.Fprintf(p, format+"\n", a...) }

func (p *plot) text(x, y float64, class, anchor, text string) {
	p.add(`<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`, x, y, class, anchor, html.EscapeString(text))
}

// done is the whole picture; label is what a screen reader says of it.
func (p *plot) done(label string) template.HTML {
	return template.HTML(fmt.Sprintf("<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"%s\">\n%s</svg>", p.width, p.height, html.EscapeString(label), p.String()))
}

func (p *plot) x(share float64) float64 { return p.left + share*(p.width-p.left-p.right) }
func (p *plot) y(share float64) float64 { return p.height - p.bottom - share*(p.height-p.top-p.bottom) }

// steps are round numbers from 0 to at least most.
func steps(most float64, about int) []float64 {
	if most <= 0 {
		most = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(most/float64(about))))
	for _, m := range []float64{1, 2, 5, 10} {
		if most/(step*m) <= float64(about) {
			step *= m
			break
		}
	}
	var list []float64
	for v := 0.0; v < most+step; v += step {
		list = append(list, v)
	}
	return list
}

// whole is the drill's length in seconds, never 0: all moments are shares of it.
func (r *Report) whole() float64 { return math.Max(r.Took.Seconds(), 0.001) }

// phases draws the drill's parts behind a plot over time.
func (p *plot) phases(r *Report) {
	whole := r.whole()
	for i, f := range r.Phases {
		from, to := p.x(f.From.Seconds()/whole), p.x(f.To.Seconds()/whole)
		class := "load"
		if f.Fault != "" {
			class = "calm"
		}
		p.add(`<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, class, from, p.top, math.Max(0, to-from), p.height-p.top-p.bottom)
		if f.Fault != "" && f.Healed >= 0 {
			end := p.x(f.Healed.Seconds() / whole)
			p.add(`<rect class="fault" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, from, p.top, math.Max(2, end-from), p.height-p.top-p.bottom)
		}
		name := r.Language.Name(f.Phase)
		if f.Fault == "" {
			name = r.Language.Times(f.Times)
		}
		anchor, at := "start", from+2
		if from > p.width*0.85 { // there is no room to its right
			anchor, at = "end", from-3
		}
		p.text(at, p.top-6-float64(i%3)*13, "name", anchor, name)
		p.add(`<line class="tick" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, from, from, p.top-4-float64(i%3)*13, p.top)
	}
}

func (p *plot) timeAxis(r *Report) {
	whole := r.whole()
	p.add(`<line class="axis" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, p.left, p.width-p.right, p.y(0), p.y(0))
	step := 3600.0
	for _, s := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200} {
		if whole/s <= 10 {
			step = s
			break
		}
	}
	for at := 0.0; at <= whole; at += step {
		label := fmt.Sprintf("%d:%02d", int(at)/60, int(at)%60)
		p.text(p.x(at/whole), p.height-p.bottom+18, "mark", "middle", label)
	}
}

// curvePlot shows what was accepted and what has arrived, and what lies between them: leads that wait.
func (r *Report) curvePlot() template.HTML {
	p, whole := newPlot(960, 280), r.whole()
	most := 1.0
	for _, m := range r.Curve {
		most = math.Max(most, float64(max(m.Accepted, m.Delivered)))
	}
	marks := steps(most, 5)
	most = marks[len(marks)-1]
	p.phases(r)
	for _, v := range marks {
		p.add(`<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, p.left, p.width-p.right, p.y(v/most), p.y(v/most))
		p.text(p.left-8, p.y(v/most)+4, "mark", "end", fmt.Sprintf("%.0f", v))
	}
	var accepted, delivered, back []string
	for _, m := range r.Curve {
		x := p.x(m.At.Seconds() / whole)
		accepted = append(accepted, fmt.Sprintf("%.1f,%.1f", x, p.y(float64(m.Accepted)/most)))
		delivered = append(delivered, fmt.Sprintf("%.1f,%.1f", x, p.y(float64(m.Delivered)/most)))
		back = append([]string{fmt.Sprintf("%.1f,%.1f", x, p.y(float64(m.Delivered)/most))}, back...)
	}
	p.add(`<polygon class="waiting" points="%s %s"/>`, strings.Join(accepted, " "), strings.Join(back, " "))
	p.add(`<polyline class="accepted" points="%s"/>`, strings.Join(accepted, " "))
	p.add(`<polyline class="delivered" points="%s"/>`, strings.Join(delivered, " "))
	p.timeAxis(r)
	return p.done(r.Language.Say("Accepted and delivered leads over time", "Принятые и доставленные заявки по времени"))
}

// The delays' axis is logarithmic: one that shows minutes would hide milliseconds.
var decades = []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second, 100 * time.Second, 1000 * time.Second, 10000 * time.Second}

// dotPlot shows each lead's delay.
func (r *Report) dotPlot() template.HTML {
	p, whole := newPlot(960, 280), r.whole()
	least, most := 2, 3 // of decades
	for _, d := range r.Dots {
		for least > 0 && time.Duration(d.Delay) < decades[least] {
			least--
		}
		for most < len(decades)-1 && time.Duration(d.Delay) > decades[most] {
			most++
		}
	}
	y := func(d time.Duration) float64 {
		low, high := math.Log10(decades[least].Seconds()), math.Log10(decades[most].Seconds())
		return p.y(math.Max(0, math.Min(1, (math.Log10(math.Max(d.Seconds(), 1e-6))-low)/(high-low))))
	}
	p.phases(r)
	for _, d := range decades[least : most+1] {
		p.add(`<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, p.left, p.width-p.right, y(d), y(d))
		p.text(p.left-8, y(d)+4, "mark", "end", r.Language.Span(Span(d)))
	}
	for _, d := range r.Dots {
		p.add(`<circle class="dot" cx="%.1f" cy="%.1f" r="3"/>`, p.x(d.At.Seconds()/whole), y(time.Duration(d.Delay)))
	}
	p.timeAxis(r)
	return p.done(r.Language.Say("Each lead's delay", "Задержка каждой заявки"))
}

// bar is one of a bar plot's.
type bar struct {
	label, value, class string
	length              float64
}

// bars draws them lying, each with its value in words.
func bars(all []bar, label string) template.HTML {
	const line = 26
	p := newPlot(470, float64(len(all))*line+12)
	p.left, p.right = 76, 74
	for _, b := range all {
		p.left = math.Max(p.left, math.Min(230, 18+7.8*float64(utf8.RuneCountInString(b.label))))
	}
	most := 0.0
	for _, b := range all {
		most = math.Max(most, b.length)
	}
	for i, b := range all {
		y := 6 + float64(i)*line
		p.text(p.left-10, y+17, "mark", "end", b.label)
		length := 0.0
		if most > 0 {
			length = b.length / most
		}
		p.add(`<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="18" rx="3"/>`, b.class, p.left, y+3, math.Max(2, length*(p.width-p.left-p.right)))
		p.text(p.left+math.Max(2, length*(p.width-p.left-p.right))+8, y+17, "value", "start", b.value)
	}
	return p.done(label)
}

// quantilePlot shows how the delays grow with the load.
func (r *Report) quantilePlot() template.HTML {
	var all []bar
	for _, f := range r.Phases {
		if f.Fault != "" || f.Delay.N == 0 {
			continue
		}
		name := r.Language.Times(f.Times)
		for _, q := range []struct {
			name string
			v    Span
		}{{"p50", f.Delay.P50}, {"p95", f.Delay.P95}, {"p99", f.Delay.P99}} {
			all = append(all, bar{name + "  " + q.name, r.Language.Span(q.v), q.name, q.v.Seconds()})
		}
	}
	if len(all) == 0 {
		return ""
	}
	return bars(all, r.Language.Say("Delays by load", "Задержки по нагрузке"))
}

// recoveryPlot shows how long each fault was felt.
func (r *Report) recoveryPlot() template.HTML {
	var all []bar
	for _, f := range r.Phases {
		if f.Fault == "" {
			continue
		}
		b := bar{r.Language.Name(f.Phase), r.Language.Span(f.Recovery), "recovery", math.Max(0, f.Recovery.Seconds())}
		if f.Recovery < 0 {
			b.value, b.class, b.length = r.Language.Say("not yet", "ещё нет"), "never", math.Max(0, (f.To-f.Healed).Seconds())
		}
		all = append(all, b)
	}
	if len(all) == 0 {
		return ""
	}
	return bars(all, r.Language.Say("Recovery after each fault", "Восстановление после каждого сбоя"))
}
