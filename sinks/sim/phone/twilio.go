package phone

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"leadstream/sinks/sim/fault"
)

func (p *Phone) twilioRoutes() {
	const base = "/2010-04-01/Accounts/{account}"
	handle := func(pattern, method string, run func(*request) fault.Answer) {
		p.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			account := strings.TrimSuffix(r.PathValue("account"), ".json")
			user, token, _ := r.BasicAuth()
			p.serve(w, r, method, service{
				run: func(q *request) fault.Answer {
					known := user == account || strings.HasPrefix(user, "SK")
					if !known || token != p.o.Secret || account != p.login(TwilioAccount) {
						return twilioError(http.StatusUnauthorized, 20003, "Authenticate")
					}
					q.path = strings.TrimSuffix(r.PathValue("sid"), ".json")
					return run(q)
				},
				refuse: twilioFault,
			})
		})
	}
	handle("POST "+base+"/Messages.json", "twilio.send", twilioSend)
	handle("GET "+base+"/Messages.json", "twilio.list", twilioList)
	handle("GET "+base+"/Messages/{sid}", "twilio.message", twilioOne)
	handle("GET "+base, "twilio.account", func(q *request) fault.Answer {
		return answerJSON(http.StatusOK, map[string]any{"sid": q.p.login(TwilioAccount), "status": "active",
			"friendly_name": "Simulated", "type": "Full"})
	})
}

func twilioError(status, code int, message string) fault.Answer {
	return answerJSON(status, map[string]any{"code": code, "message": message, "status": status,
		"more_info": fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code)})
}

func twilioFault(f Fault) fault.Answer {
	code, status := numbered(f.Code), f.Status
	if status == 0 {
		status = map[int]int{20003: 401, 20404: 404, 20429: 429, 20500: 500}[code]
	}
	if status == 0 {
		status = http.StatusBadRequest
	}
	return twilioError(status, code, f.Description)
}

func twilioSend(q *request) fault.Answer {
	to, from, body := q.args["To"], q.args["From"], q.args["Body"]
	if from == "" {
		from = q.args["MessagingServiceSid"]
	}
	bad := func(code int, message string) fault.Answer { return twilioError(http.StatusBadRequest, code, message) }
	switch {
	case to == "":
		return bad(21604, "A 'To' phone number is required.")
	case from == "":
		return bad(21603, "A 'From' phone number is required.")
	case body == "":
		return bad(21602, "Message body is required.")
	case utf8.RuneCountInString(body) > 1600:
		return bad(21617, "The concatenated message body exceeds the 1600 character limit.")
	case !strings.HasPrefix(to, "+") || !mobile(digits(to)):
		return bad(21211, "Invalid 'To' Phone Number")
	}
	m := q.arrive(Message{Via: "twilio", To: to, From: from, Text: body, ID: fmt.Sprintf("SM%032x", len(q.p.messages)+1),
		Parts: segments(body)})
	return answerJSON(http.StatusCreated, q.p.twilioShown(m, "queued"))
}

func (p *Phone) twilioShown(m *Message, status string) map[string]any {
	at := m.At.UTC().Format(time.RFC1123Z)
	out := map[string]any{"sid": m.ID, "account_sid": p.login(TwilioAccount), "to": m.To, "from": m.From, "body": m.Text,
		"status": status, "num_segments": strconv.Itoa(m.Parts), "direction": "outbound-api", "error_code": nil,
		"error_message": nil, "date_created": at, "date_updated": at, "date_sent": nil}
	if status == "delivered" {
		out["date_sent"] = at
	}
	return out
}

// twilioBecame is a message as it stands.
func (p *Phone) twilioBecame(m *Message) map[string]any {
	out := p.twilioShown(m, map[State]string{Delivered: "delivered", Waiting: "sent", Expired: "undelivered"}[m.State])
	if m.State == Expired {
		out["error_code"] = 30003
	}
	return out
}

// twilioOne is a message by its sid.
func twilioOne(q *request) fault.Answer {
	for i := range q.p.messages {
		if m := &q.p.messages[i]; m.Via == "twilio" && m.ID == q.path {
			return answerJSON(http.StatusOK, q.p.twilioBecame(m))
		}
	}
	return twilioError(http.StatusNotFound, 20404, "The requested resource was not found")
}

// twilioList finds messages by To and by the day they were sent, newest first.
func twilioList(q *request) fault.Answer {
	rows := []any{}
	for i := len(q.p.messages) - 1; i >= 0; i-- {
		m := &q.p.messages[i]
		day := m.At.UTC().Format(time.DateOnly)
		if m.Via != "twilio" || q.args["To"] != "" && q.args["To"] != m.To ||
			q.args["DateSent"] != "" && q.args["DateSent"] != day ||
			q.args["DateSent>"] != "" && day < q.args["DateSent>"] || q.args["DateSent<"] != "" && day > q.args["DateSent<"] {
			continue
		}
		rows = append(rows, q.p.twilioBecame(m))
	}
	return answerJSON(http.StatusOK, map[string]any{"messages": rows, "page": 0, "page_size": 50, "next_page_uri": nil})
}
