package phone

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"leadstream/sinks/sim/fault"
)

func (p *Phone) smscRoutes() {
	for path, method := range map[string]string{"/sys/send.php": "smsc.send", "/rest/send/": "smsc.send",
		"/sys/status.php": "smsc.status", "/rest/status/": "smsc.status",
		"/sys/balance.php": "smsc.balance", "/rest/balance/": "smsc.balance"} {
		p.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			asJSON := strings.HasPrefix(path, "/rest/") || r.FormValue("fmt") == "3"
			run := map[string]func(*request, bool) fault.Answer{"smsc.send": smscSend, "smsc.status": smscStatus,
				"smsc.balance": smscBalance}[method]
			p.serve(w, r, method, service{
				run: func(q *request) fault.Answer {
					if !q.smscKnown() {
						return smscError(asJSON, 2, "")
					}
					return run(q, asJSON)
				},
				refuse: func(f Fault) fault.Answer { return smscError(asJSON, numbered(f.Code), f.Description) },
			})
		})
	}
}

func (q *request) smscKnown() bool {
	if key := q.args["apikey"]; key != "" {
		return key == q.p.o.Secret
	}
	return q.args["login"] == q.p.login("shop") && q.args["psw"] == q.p.o.Secret
}

// login is the configured login, or the one a service has by default.
func (p *Phone) login(usual string) string {
	if p.o.Login != "" {
		return p.o.Login
	}
	return usual
}

var smscTexts = map[int]string{1: "parameters error", 2: "authorise error", 3: "insufficient funds", 4: "IP is blocked",
	5: "invalid date format", 6: "message is denied", 7: "invalid number", 8: "message can't be delivered",
	9: "duplicate request, wait a minute"}

// smscError is always a 200.
func smscError(asJSON bool, code int, text string) fault.Answer {
	if text == "" {
		text = smscTexts[code]
	}
	if asJSON {
		return answerJSON(http.StatusOK, map[string]any{"error": text, "error_code": code})
	}
	return answerText(http.StatusOK, fmt.Sprintf("ERROR = %d (%s)", code, text))
}

func smscSend(q *request, asJSON bool) fault.Answer {
	phones := strings.FieldsFunc(q.args["phones"], func(r rune) bool { return r == ',' || r == ';' })
	text := q.args["mes"]
	if len(phones) == 0 || text == "" {
		return smscError(asJSON, 1, "")
	}
	for i, to := range phones {
		if phones[i] = digits(to); !mobile(phones[i]) {
			return smscError(asJSON, 7, "")
		}
	}
	parts := segments(text)
	if cost := q.args["cost"]; cost == "1" {
		return answerJSON(http.StatusOK, map[string]any{"cost": fmt.Sprintf("%.2f", 3.2*float64(parts)), "cnt": parts * len(phones)})
	}
	for _, to := range phones {
		if q.repeated("smsc", to, text) {
			return smscError(asJSON, 9, "")
		}
	}
	id := q.args["id"]
	if n, err := strconv.ParseInt(id, 10, 32); id != "" && (err != nil || n < 1) {
		return smscError(asJSON, 1, "")
	}
	if id == "" {
		id = strconv.Itoa(1000 + len(q.p.messages))
	}
	for _, to := range phones {
		q.arrive(Message{Via: "smsc", To: to, From: q.args["sender"], Text: text, ID: id, Parts: parts})
	}
	count := parts * len(phones)
	if asJSON {
		return answerJSON(http.StatusOK, map[string]any{"id": numbered(id), "cnt": count})
	}
	return answerText(http.StatusOK, fmt.Sprintf("OK - %d SMS, ID - %s", count, id))
}

// repeated tells whether the same text went to the same number within a minute.
func (q *request) repeated(via, to, text string) bool {
	return slices.ContainsFunc(q.p.messages, func(m Message) bool {
		return m.Via == via && m.To == to && m.Text == text && q.now.Sub(m.At) < time.Minute
	})
}

func smscStatus(q *request, asJSON bool) fault.Answer {
	to := digits(q.args["phone"])
	i := slices.IndexFunc(q.p.messages, func(m Message) bool { return m.Via == "smsc" && m.To == to && m.ID == q.args["id"] })
	status, at := -3, int64(0)
	if i >= 0 {
		status, at = map[State]int{Delivered: 1, Waiting: 0, Expired: 3}[q.p.messages[i].State], q.p.messages[i].At.Unix()
	}
	if !asJSON {
		return answerText(http.StatusOK, fmt.Sprintf("Status = %d", status))
	}
	return answerJSON(http.StatusOK, map[string]any{"status": status, "last_timestamp": at, "err": 0})
}

func smscBalance(q *request, asJSON bool) fault.Answer {
	sum := fmt.Sprintf("%.2f", q.p.o.Balance)
	if asJSON {
		return answerJSON(http.StatusOK, map[string]any{"balance": sum})
	}
	return answerText(http.StatusOK, sum)
}
