package drill

import (
	"slices"
	"time"
)

// Advise fills in what the figures say to an owner, most pressing first. Every number in it was measured or is a rate of
// the config.
func (r *Report) Advise() {
	r.Advice = []string{}
	for _, one := range []func(Words) []string{r.brokenPromise, r.bottleneck, r.slowIntake, r.refusals, r.outages, r.people, r.peakAlarm, r.density} {
		r.Advice = append(r.Advice, one(r.Language)...)
	}
}

func (r *Report) brokenPromise(l Words) []string {
	if !r.Totals.Broken() {
		return nil
	}
	return []string{l.Say("Do not start the campaign: %s. It is named under \"What is wrong\"; drill again with --keep to have the log and the data beside the report.",
		"Не начинайте кампанию: %s. Подробности в «Что не так»; повторите с --keep, чтобы рядом с отчётом были журнал и данные.", r.broken())}
}

// load is the phase of the highest load that has been played to its end.
func (r *Report) load() (f PhaseFigures, i int, ok bool) {
	for n, p := range r.Phases {
		if p.Fault == "" && p.Arrived > 0 && (!ok || p.Times > f.Times) {
			f, i, ok = p, n, true
		}
	}
	return f, i, ok
}

// Room is how many leads an hour a destination takes before they begin to wait, by what a lead has cost it in the
// heaviest phase and by its rate. ok is false when its rate is no limit or nothing was measured.
func (r *Report) Room(d Far) (perHour, perLead float64, ok bool) {
	_, i, played := r.load()
	if !played || d.PerSecond <= 0 || len(d.Requests) <= i || d.Requests[i] == 0 || len(d.Arrived) <= i || d.Arrived[i] == 0 {
		return 0, 0, false
	}
	perLead = float64(d.Requests[i]) / float64(d.Arrived[i])
	return d.PerSecond / perLead * 3600, perLead, true
}

// bottleneck says whether the peak's triple fits through each destination's rate, and what happens if it does not.
func (r *Report) bottleneck(l Words) (advice []string) {
	f, _, played := r.load()
	if !played {
		return nil
	}
	tightest := Far{}
	least := 0.0
	for _, d := range r.Far {
		if room, _, ok := r.Room(d); ok && (tightest.Name == "" || room < least) {
			tightest, least = d, room
		}
	}
	if tightest.Name == "" {
		return []string{l.Say("No destination has a rate that stands in the way: at %s leads took %s (p95) to arrive.", "Ни у одного приёмника нет предела скорости, который мешал бы: при %s заявка доходит за %s (p95).", l.Times(f.Times), l.Span(f.Delay.P95))}
	}
	room, perLead, _ := r.Room(tightest)
	limit := l.Say("%s takes %s requests a second, and a lead costs it %s", "%s принимает %s запроса в секунду, одна заявка стоит ему %s",
		tightest.Name, l.number(tightest.PerSecond, 2), l.number(perLead, 2))
	minute := r.Plan.Peak.PerMinute * 60 // the busiest minute, as a rate an hour
	for times := 1.0; times <= f.Times; times++ {
		wanted := times * r.Plan.Peak.PerHour
		if wanted <= room {
			continue
		}
		wait := Span((wanted - room) / room * float64(time.Hour))
		text := l.Say("At %s your peak (%s leads an hour) %s is the bottleneck: %s, so %s leads an hour. After such an hour a lead waits %s.",
			"При %s к вашему пику (%s заявок в час) узкое место — %s: %s, то есть %s заявок в час. После такого часа заявка ждёт %s.",
			l.Times(times), l.count(wanted), tightest.Name, limit, l.count(room), l.Span(wait))
		if tightest.MostBatch > 0 && tightest.Batch < tightest.MostBatch {
			text += l.Say(" Set sinks.%s.batch to %d: one request then carries many leads.", " Поставьте sinks.%s.batch: %d — тогда один запрос несёт много заявок.", tightest.Name, tightest.MostBatch)
		} else {
			text += l.Say(" Raise the limit with the CRM's provider, or expect that delay.", " Договоритесь с CRM о большем пределе или ждите такой задержки.")
		}
		return append(advice, text)
	}
	if f.Times*minute > room {
		return append(advice, l.Say("The hour fits and its busiest minute does not: %s; a minute with %s leads waits up to %s.", "Час проходит, а самая плотная минута нет: %s; минута с %s заявками ждёт до %s.",
			limit, l.count(f.Times*r.Plan.Peak.PerMinute), l.Span(Span((f.Times*minute-room)/room*float64(time.Minute)))))
	}
	return append(advice, l.Say("There is room: %s, so about %s leads an hour go through without waiting, %s your peak.", "Запас есть: %s, значит без ожидания проходит около %s заявок в час — в %s больше вашего пика.",
		limit, l.count(room), l.Often(room/r.Plan.Peak.PerHour)))
}

// slowIntake looks at how long senders wait: a form's visitor sees it, and the strictest services give up after 5 s.
func (r *Report) slowIntake(l Words) []string {
	f, _, ok := r.load()
	if !ok || f.Answer.P99 < Span(time.Second) {
		return nil
	}
	return []string{l.Say("Senders wait %s (p99) for their answer at %s; services that give up after 5 s would send again. Each answer waits for the disk: put data_dir on a faster one.",
		"Отправители ждут ответа %s (p99) при %s; сервисы, сдающиеся через 5 с, отправят повторно. Каждый ответ ждёт диск: положите data_dir на более быстрый.", l.Span(f.Answer.P99), l.Times(f.Times))}
}

func (r *Report) refusals(l Words) (advice []string) {
	load, killed := 0, 0
	away := None
	for _, p := range r.Phases {
		switch p.Fault {
		case "":
			load += p.NotTaken
		case DaemonKilled:
			killed += p.NotTaken
			away = p.Healed - p.From
		}
	}
	if load > 0 {
		advice = append(advice, l.Say("Requests refused under load alone: %d. Look at the source's rate and concurrency (sources.%s) and at the log.", "Отказов под одной лишь нагрузкой: %d. Проверьте rate и concurrency источника (sources.%s) и журнал.", load, r.refused()))
	}
	if killed > 0 {
		advice = append(advice, l.Say("Senders that met a closed door and had to send again: %d, in the %s that leadstream was away. Install scripts/leadstream.socket: systemd then keeps the port open and they only wait; in Make, turn on Store incomplete executions.",
			"Закрытую дверь застали %d: leadstream не работал %s, и отправлять им пришлось повторно. Поставьте scripts/leadstream.socket: systemd держит порт открытым, и они лишь ждут; в Make включите Store incomplete executions.", killed, l.Span(away)))
	}
	return advice
}

// refused is the source that was refused most often.
func (r *Report) refused() string {
	worst := Source{}
	for _, s := range r.Sources {
		if worst.Name == "" || s.NotTaken > worst.NotTaken {
			worst = s
		}
	}
	return worst.Name
}

// outages looks at the longest recovery and at what died.
func (r *Report) outages(l Words) (advice []string) {
	worst := PhaseFigures{Recovery: None}
	for _, p := range r.Phases {
		if p.Fault != "" && p.Recovery > worst.Recovery {
			worst = p
		}
	}
	if worst.Recovery >= 0 {
		text := l.Say("The longest recovery was %s after \"%s\", which lasted %s; the slowest lead of that time took %s.", "Дольше всего восстанавливались %s — после сбоя «%s» длиной %s; самая медленная заявка того времени шла %s.",
			l.Span(worst.Recovery), l.Name(worst.Phase), l.Span(worst.Healed-worst.From), l.Span(worst.Delay.Max))
		for _, d := range r.Far {
			if d.Name == r.Main && d.LookAfter > 0 && worst.Delay.Max >= d.LookAfter {
				text += l.Say(" Most of it is caution: a call without an answer may have worked, so %s is asked after %s (far_limit and index_lag) before anything is made again.",
					" Большая часть этого — осторожность: вызов без ответа мог сработать, поэтому %s спрашивают через %s (far_limit и index_lag) и лишь потом создают заново.", d.Name, l.Span(d.LookAfter))
			}
		}
		advice = append(advice, text)
	}
	for _, d := range r.Far {
		if d.Dead > 0 && d.Attempts > 0 {
			text := l.Say("%s went to the dead letters of %s after %d tries and were told to a person; raise sinks.%s.retry.attempts if your CRM is often away.", "%s из-за сбоев попали в недоставленные приёмника %s после %d попыток, человеку сообщено; если ваша CRM часто недоступна, увеличьте sinks.%s.retry.attempts.", l.leads(d.Dead), d.Name, d.Attempts, d.Name)
			if !d.Replay {
				text += l.Say(" With replay: true they go again by themselves.", " С replay: true они уйдут снова сами.")
			}
			advice = append(advice, text)
		}
		if d.LateAfter > 0 && d.Delay.P99 > d.LateAfter {
			advice = append(advice, l.Say("Leads to %s are late (%s, over late_after %s) under load alone: a person would be told of each.", "Заявки в %s опаздывают (%s при late_after %s) уже под нагрузкой: человеку будет сообщено о каждой.", d.Name, l.Span(d.Delay.P99), l.Span(d.LateAfter)))
		}
	}
	return advice
}

// people looks at who would have heard of the faults.
func (r *Report) people(l Words) (advice []string) {
	switch len(r.Told) {
	case 0:
		return []string{l.Say("Nobody would hear of any of this: name a telegram, sms or email sink in tell.sinks.", "Никто ничего бы не узнал: назовите приёмник telegram, sms или email в tell.sinks.")}
	case 1:
		advice = append(advice, l.Say("Only %s is told. Name a second one in tell.sinks, of another kind: when Telegram is down, an SMS still comes.", "Узнаёт только %s. Добавьте в tell.sinks второй приёмник другого вида: если не работает Telegram, SMS придёт.", r.Told[0]))
	}
	faults := 0
	for _, p := range r.Phases {
		if p.Fault != "" {
			faults++
		}
	}
	if faults > 0 && len(r.Alerts) == 0 {
		advice = append(advice, l.Say("No alert came: the faults were shorter than your rules wait (made %s shorter here). Drill longer faults with --broken.", "Ни одной тревоги: сбои были короче ожидания ваших правил (уже сокращённого в %s). Проверьте сбои подлиннее: --broken.", l.Often(r.Shorten)))
	}
	return advice
}

// peakAlarm finds alerts that the load alone has set off: at every peak they would wake somebody for nothing.
func (r *Report) peakAlarm(l Words) []string {
	var texts []string
	for _, p := range r.Phases {
		if p.Fault == "" {
			texts = append(texts, p.Told...)
		}
	}
	slices.Sort(texts)
	if texts = slices.Compact(texts); len(texts) == 0 {
		return nil
	}
	return []string{l.Say("Load alone sets off alerts (%d, the first: %s). If such a peak is usual, raise the rule's threshold.", "Тревоги приходят от одной лишь нагрузки (%d, первая: %s). Если такой пик обычен, поднимите порог правила.", len(texts), texts[0])}
}

// density says what short phases cannot tell.
func (r *Report) density(l Words) []string {
	if r.Plan.Density <= 1.05 {
		return nil
	}
	return []string{l.Say("The peak is small, so leads came %s denser than in its busiest minute; delays and alerts under load are worse here than they will be. A longer --for plays it as it is.",
		"Пик невелик, поэтому заявки шли в %s плотнее самой плотной его минуты; задержки и тревоги под нагрузкой здесь хуже, чем будут. С более долгим --for он играется как есть.", l.Often(r.Plan.Density))}
}
