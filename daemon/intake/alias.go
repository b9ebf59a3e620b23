package intake

import (
	"fmt"
	"slices"
	"strings"
)

// target is what a field of a body means to a lead.
type target int

const (
	unknown target = iota
	toName
	toFirstName
	toMiddleName
	toLastName
	toPhone
	toEmail
	toContact // a phone number or an e-mail address, whichever it turns out to be
	toService
	toTime
	toDate
	toMessage
	toIntent // one of triage's words; what is none of them is kept as a field
	toChannel
	toUserID
	toKey
	toEventAt
	toEvent   // what has happened, when this is no enquiry
	toAbout   // the lead that the event is about
	toPage    // the page's address: read for UTM, kept as a field
	toCookies // Tilda's COOKIES: read for UTM, kept as a field
	toSource  // the five of UTM
	toMedium
	toCampaign
	toContent
	toTerm
	targets // how many there are
)

// targetNames are the words for targets in config.yaml (`sources.<name>.fields`).
var targetNames = map[string]target{
	"name": toName, "first_name": toFirstName, "middle_name": toMiddleName, "last_name": toLastName,
	"phone": toPhone, "email": toEmail, "contact": toContact, "service": toService, "time": toTime, "date": toDate,
	"message": toMessage, "intent": toIntent, "channel": toChannel, "user_id": toUserID, "key": toKey, "event_at": toEventAt, "event": toEvent, "about": toAbout,
	"page":       toPage,
	"utm_source": toSource, "utm_medium": toMedium, "utm_campaign": toCampaign, "utm_content": toContent, "utm_term": toTerm,
}

var utmNames = map[target]string{
	toSource: "source", toMedium: "medium", toCampaign: "campaign", toContent: "content", toTerm: "term",
}

// aliases are the names that fields have in forms and no-code tools, folded as foldKey does.
var aliases = func() map[string]target {
	all := map[string]target{}
	for t, names := range map[target]string{
		toName: "name full_name fullname fio your_name yourname client_name customer_name contact_name lead_name user_name " +
			"имя фио ваше_имя имя_клиента как_вас_зовут как_к_вам_обращаться контактное_лицо",
		toFirstName:  "first_name firstname given_name fname",
		toMiddleName: "middle_name middlename patronymic second_name отчество",
		toLastName:   "last_name lastname surname family_name lname фамилия",
		toPhone: "phone tel telephone mobile phone_number phonenumber phone_no mobile_phone cell cellphone msisdn your_phone " +
			"your_tel client_phone customer_phone contact_phone user_phone whatsapp whatsapp_number телефон тел номер " +
			"номер_телефона ваш_телефон мобильный мобильный_телефон контактный_телефон сотовый телефон_клиента",
		toEmail: "email e_mail mail your_email email_address emailaddress client_email customer_email contact_email user_email " +
			"почта эл_почта электронная_почта имейл емейл ваш_email ваша_почта адрес_электронной_почты",
		toContact: "contact contacts контакт контакты",
		toService: "service services service_name procedure услуга услуги процедура какая_услуга интересующая_услуга",
		toTime: "time preferred_time desired_time visit_time appointment_time call_time booking_time время удобное_время " +
			"время_записи время_визита желаемое_время время_звонка",
		toDate: "date preferred_date desired_date visit_date appointment_date booking_date дата дата_записи дата_визита " +
			"желаемая_дата удобная_дата",
		toMessage: "message comment comments text textarea question note notes your_message description сообщение комментарий " +
			"коммент вопрос ваш_вопрос текст примечание ваше_сообщение текст_сообщения",
		toIntent:  "intent",
		toChannel: "channel канал",
		toUserID:  "user_id userid",
		toKey:     "key idempotency_key idempotencykey event_id tranid leadgen_id submission_id submissionid",
		toEventAt: "event_at created_at created_time submitted_at submission_time event_time timestamp",
		toEvent:   "event",
		toAbout:   "about",
		toPage: "page page_url pageurl url landing landing_page referer referrer source_url page_location страница " +
			"адрес_страницы",
		toCookies:  "cookies",
		toSource:   "utm_source utm.source",
		toMedium:   "utm_medium utm.medium",
		toCampaign: "utm_campaign utm.campaign",
		toContent:  "utm_content utm.content",
		toTerm:     "utm_term utm.term",
	} {
		for _, name := range strings.Fields(names) {
			all[name] = t
		}
	}
	return all
}()

// wrappers are objects and PHP arrays that a sender puts the customer's own fields into. Others, such as `manager` or
// `payment[products]`, hold phones and names of somebody else.
var wrappers = []string{
	"lead", "contact", "client", "customer", "person", "user", "data", "fields", "form_fields", "form_data",
	"formdata", "values", "payload", "body", "answers", "properties", "attributes", "utm", "заявка", "клиент",
}

// targetOf says what a field means: the source's own map first, by the key as written and then folded, then the aliases.
func (s *source) targetOf(key string) target {
	if t, ok := s.fields[key]; ok {
		return t
	}
	if t, ok := aliases[key]; ok && len(s.fields) == 0 {
		return t
	}
	folded := foldKey(key)
	if t, ok := s.fields[folded]; ok {
		return t
	}
	if t, ok := aliases[folded]; ok {
		return t
	}
	outer, inner, nested := strings.Cut(folded, ".")
	if nested && slices.Contains(wrappers, outer) {
		inner = strings.TrimSuffix(inner, ".value")
		if t, ok := s.fields[inner]; ok {
			return t
		}
		return aliases[inner]
	}
	return unknown
}

// guess is for keys that only contain a telling word, such as "Ваш телефон для связи" or "billing_phone".
func guess(key string) target {
	key = strings.ToLower(key)
	for _, word := range []string{"manager", "менедж", "operator", "оператор", "company", "компани", "office", "офис"} {
		if strings.Contains(key, word) {
			return unknown
		}
	}
	for _, word := range []string{"phone", "телефон", "mobile", "whatsapp"} {
		if strings.Contains(key, word) {
			return toPhone
		}
	}
	for _, word := range []string{"email", "e-mail", "почт"} {
		if strings.Contains(key, word) {
			return toEmail
		}
	}
	return unknown
}

// foldKey makes keys comparable: `Ваше имя *` is ваше_имя, `form_fields[your-name]` is form_fields.your_name, and
// `tags[]` is tags.
func foldKey(key string) string {
	var b strings.Builder
	b.Grow(len(key))
	for _, r := range strings.ToLower(key) {
		switch r {
		case ' ', '-', '_', '\u00a0', '\t', '\n':
			r = '_'
		case '[', '.':
			r = '.'
		case ']', '*', ':', '?', '"', '\'':
			continue
		case 'ё':
			r = 'е'
		}
		b.WriteRune(r)
	}
	return strings.Trim(b.String(), "_. ")
}

// foldFields prepares a source's own map of fields.
func foldFields(fields map[string]string) (map[string]target, error) {
	out := make(map[string]target, 2*len(fields))
	for key, name := range fields {
		t, ok := targetNames[name]
		if !ok {
			return nil, fmt.Errorf("field %q: %q is not a part of a lead", key, name)
		}
		out[key] = t
		out[foldKey(key)] = t
	}
	return out, nil
}
