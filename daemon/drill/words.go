package drill

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Words gives texts in a language: ru or en.
type Words string

// Say gives a text; both texts take the same args.
func (l Words) Say(en, ru string, args ...any) string {
	if l == "ru" {
		en = ru
	}
	if len(args) == 0 {
		return en
	}
	return fmt.Sprintf(en, args...)
}

// Span is a time as people read it; in JSON it is seconds.
func (l Words) Span(d Span) string {
	t := time.Duration(d)
	switch {
	case t < 0:
		return "–"
	case t < 10*time.Millisecond:
		return l.number(float64(t)/1e6, 1) + l.Say(" ms", " мс")
	case t < time.Second:
		return l.number(float64(t)/1e6, 0) + l.Say(" ms", " мс")
	case t < 10*time.Second:
		return l.number(t.Seconds(), 1) + l.Say(" s", " с")
	case t < 2*time.Minute:
		return l.number(t.Seconds(), 0) + l.Say(" s", " с")
	case t < 10*time.Minute && t%time.Minute >= time.Second:
		return l.Say("%d min %d s", "%d мин %d с", int(t.Minutes()), int((t % time.Minute).Seconds()))
	case t < 2*time.Hour:
		return l.number(t.Minutes(), 0) + l.Say(" min", " мин")
	}
	return l.number(t.Hours(), 0) + l.Say(" h", " ч")
}

// number writes a number with as many digits behind the point, in the language's way.
func (l Words) number(v float64, digits int) string {
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if l == "ru" {
		s = strings.Replace(s, ".", ",", 1)
	}
	return s
}

// count writes a number of leads an hour and the like: no more digits than it deserves.
func (l Words) count(v float64) string {
	switch {
	case v >= 1000:
		step := 100.0
		if v >= 10000 {
			step = 1000
		}
		n := strconv.Itoa(int(v/step) * int(step))
		return n[:len(n)-3] + l.Say(",", "\u00a0") + n[len(n)-3:]
	case v >= 10:
		return l.number(v, 0)
	}
	return l.number(v, 1)
}

// Name is a phase in words.
func (l Words) Name(p Phase) string {
	switch p.Fault {
	case "":
		return l.Say("peak %s", "пик %s", l.Times(p.Times))
	case CRMDown:
		return l.Say("CRM down", "CRM недоступна")
	case CRMSlow:
		return l.Say("CRM slow", "CRM тормозит")
	case CRMBusy:
		return l.Say("CRM: wait (429)", "CRM: подождите (429)")
	case CRMErrors:
		return l.Say("CRM: errors (500)", "CRM: ошибки (500)")
	case CRMSilent:
		return l.Say("CRM's answers lost", "ответы CRM теряются")
	case ChannelDown:
		return l.Say("messenger down", "мессенджер недоступен")
	case ChannelSlow:
		return l.Say("messenger slow", "мессенджер тормозит")
	case ChannelBusy:
		return l.Say("messenger: wait (429)", "мессенджер: подождите (429)")
	case ChannelSilent:
		return l.Say("messenger's answers lost", "ответы мессенджера теряются")
	case ChannelMute:
		return l.Say("messenger delivers nothing", "мессенджер не доставляет")
	case RedisKilled:
		return l.Say("Redis killed", "Redis убит")
	case RedisFull:
		return l.Say("Redis out of memory", "у Redis нет памяти")
	case DaemonKilled:
		return l.Say("leadstream killed", "leadstream убит")
	}
	return string(p.Fault)
}

// way is how leads come, in words.
func (l Words) way(w Way) string {
	switch w {
	case ByWebhook:
		return l.Say("by webhook", "вебхуком")
	case Asked:
		return l.Say("is asked", "опросом")
	}
	return l.Say("by HTTP", "по HTTP")
}

// Often is a factor in words.
func (l Words) Often(v float64) string {
	digits := 1
	if v >= 10 {
		digits = 0
	}
	text := l.number(v, digits)
	if l != "ru" {
		return text + " times"
	}
	n := int(v + 0.5)
	if few := n%10 >= 2 && n%10 <= 4 && n/10%10 != 1; strings.Contains(text, ",") || few {
		return text + " раза"
	}
	return text + " раз"
}

// Times is a factor.
func (l Words) Times(v float64) string {
	if v >= 10 {
		return "×" + l.number(v, 0)
	}
	return "×" + l.number(v, 1)
}

// leads is a number of leads in words.
func (l Words) leads(n int) string {
	if l != "ru" {
		if n == 1 {
			return "1 lead"
		}
		return fmt.Sprintf("%d leads", n)
	}
	word := "заявок"
	switch {
	case n%100 >= 11 && n%100 <= 14:
	case n%10 == 1:
		word = "заявка"
	case n%10 >= 2 && n%10 <= 4:
		word = "заявки"
	}
	return fmt.Sprintf("%d %s", n, word)
}
