package processors

import (
	"fmt"
	"slices"
	"strings"

	"leadstream/processors/intent"
	"leadstream/streams"
)

// Escalate is `triage.escalate` in config.yaml: which leads a person is to answer. The reason stands in
// Lead.Person: the intent, medical, legal, words or unsure; the first of this order that holds.
type Escalate struct {
	Intents []string `koanf:"intents"` // a message that wants one of them, sure or not
	Medical bool     `koanf:"medical"` // asks what a doctor has to answer, or tells of what cannot wait
	Legal   bool     `koanf:"legal"`   // speaks of courts, claims, contracts, personal data
	Words   []string `koanf:"words"`   // as in has(): beginnings of words
	Unsure  bool     `koanf:"unsure"`  // it is not sure what the message wants
	Tag     string   `koanf:"tag"`     // that such a lead gets; empty: none
}

// UsualEscalation is the default.
func UsualEscalation() Escalate {
	return Escalate{Intents: []string{intent.Complaint, intent.Operator}, Medical: true, Legal: true, Tag: "needs_person"}
}

// Check says what is wrong with the keys.
func (e *Escalate) Check() (faults []error) {
	for i, name := range e.Intents {
		if !slices.Contains(intent.All, name) {
			faults = append(faults, Fault{fmt.Sprintf("intents[%d]", i), fmt.Sprintf("there is no intent %q", name), fmt.Sprintf("write one of %q", intent.All)})
		}
	}
	return faults
}

// escalate marks a lead that a person is to answer.
func (t *Triage) escalate(l *streams.Lead, message text) {
	l.Person = t.Escalate.reason(l, message)
	if l.Person != "" && t.Escalate.Tag != "" {
		l.Tags = union(slices.Clone(l.Tags), []string{t.Escalate.Tag})
	}
}

func (e *Escalate) reason(l *streams.Lead, message text) string {
	for _, wanted := range l.Intents {
		if slices.Contains(e.Intents, wanted) {
			return wanted
		}
	}
	switch {
	case e.Medical && (message.has(acute) || message.has(clinical) && asks(l)):
		return "medical"
	case e.Legal && message.has(legal):
		return "legal"
	case slices.ContainsFunc(e.Words, func(w string) bool { return countRow(message.words, words(w)) > 0 }):
		return "words"
	case e.Unsure && !l.Answered && strings.TrimSpace(l.Message) != "":
		return "unsure"
	}
	return ""
}

// asks says whether a message wants an answer rather than a visit: "болит зуб, запишите" needs no doctor to reply.
func asks(l *streams.Lead) bool {
	return !l.Answered || slices.Contains(l.Intents, intent.Consultation)
}

var (
	acute = phrases("кровотечени~", "кровь не останавлива~", "не останавливается кровь", "потеря~ сознани~", "теря~ сознание", "отек квинке", "анафилак~", "задыха~", "не могу дышать", "трудно дышать",
		"(боль|болит|давит) .. (в груди|за грудиной)", "(в груди|сердце) .. (болит|боль|давит)", "судорог~", "отравил~", "передозиров~", "температура (39|40|41)~", "онемел~ (рука|нога|лицо|половина)",
		"(после|от) .. (укола|наркоза|операции|процедуры|пилинга|ботокса|филлер~|прививки) .. (отек~|опух~|температур~|сыпь|воспал~|гно~|хуже|плохо|болит)", "скорую",
		"bleed~", "passed out", "cant breathe", "trouble breathing", "chest pain", "anaphyla~", "seizure~", "overdos~", "severe (pain|reaction|swelling)", "swollen .. after", "infect~ .. after")
	clinical = phrases("противопоказ~", "побочн~", "диагноз~", "дозировк~", "дозу", "какую дозу", "беремен~", "кормлю грудью", "кормящ~", "(принимаю|пью|принимать|пить) .. (лекарств~|таблет~|антибиотик~|антикоагулянт~|препарат~|роаккутан~|гормон~)",
		"(таблет~|лекарств~|антибиотик~|мазь|препарат~) .. (можно|пить|принимать|помог~|назнач~|выпис~|лучше)", "(что|какое|какой) .. (принять|выпить|попить) .. (от|при|чтобы)", "аллерги~ на", "(рак|опухоль|онколог~|кист~|диабет~|эпилепс~|гепатит~|вич|герпес~|псориаз~|гипертони~|варикоз~)",
		"(расшифр~|результат~) .. (анализ~|узи|мрт|кт|снимк~)", "что (означает|значит) .. (анализ~|узи|мрт|снимк~|заключени~)", "(можно|нельзя|опасно|вредно) (ли )?.. (при|после) .. (болезн~|операц~|диабет~|давлени~|температур~|инфаркт~|инсульт~|химиотерап~)", "кардиостимулятор~", "симптом~", "осложнени~", "наркоз~",
		"contraindicat~", "side effect~", "diagnos~", "dosage", "pregnan~", "breastfeed~", "(take|taking|on) .. (medication~|antibiotic~|pills|blood thinners|accutane|meds)", "allerg~", "(cancer|tumor|tumour|diabet~|epilep~|hepatitis|hiv|psoriasis|pacemaker)", "symptom~", "complication~", "(my|the|these) .. (test results|blood work|mri|scan|x ray)", "anesthe~", "anaesthe~")
	legal = phrases("(в|через|подам|подаю|пойду в) суд", "(суд|суда|судом|судебн~|суде)", "иск", "исковое", "юрист~", "адвокат~", "прокуратур~", "роспотребнадзор~", "росздравнадзор~", "трудовая инспекц~", "досудебн~", "претензи~",
		"(закон~|права) .. потребител~", "(моральн~|возмещени~|компенсаци~) .. (вред~|ущерб~)", "возмести~ .. (ущерб|вред|убытк~)", "персональн~ данн~", "удалите .. мои данные", "договор~ .. (расторг~|растор~|оферт~|подпис~|услови~|юридич~)", "(расторг~|растор~|услови~) .. договор~",
		"(copy of|sign|terminate) .. contract", "полици~", "заявление в", "экспертиз~",
		"lawyer~", "attorney~", "lawsuit~", "sue", "suing", "legal~", "court", "small claims", "consumer protection", "police", "liabilit~", "personal data", "gdpr", "delete my data", "compensation", "chargeback")
)
