package phone

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"leadstream/sinks/sim/fault"
)

func (p *Phone) smsruRoutes() {
	for path, call := range map[string]struct {
		method string
		run    func(*request) fault.Answer
	}{
		"/sms/send":   {"smsru.send", smsruSend},
		"/sms/status": {"smsru.status", smsruStatus},
		"/my/balance": {"smsru.balance", func(q *request) fault.Answer {
			return smsruOK(map[string]any{"balance": q.p.o.Balance})
		}},
		"/auth/check": {"smsru.check", func(*request) fault.Answer { return smsruOK(map[string]any{}) }},
	} {
		p.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			p.serve(w, r, call.method, service{
				run: func(q *request) fault.Answer {
					if q.args["api_id"] != p.o.Secret {
						return answerJSON(http.StatusOK, smsruError(200))
					}
					return call.run(q)
				},
				refuse: func(f Fault) fault.Answer { return answerJSON(http.StatusOK, smsruError(numbered(f.Code))) },
			})
		})
	}
}

func smsruOK(more map[string]any) fault.Answer {
	more["status"], more["status_code"] = "OK", 100
	return answerJSON(http.StatusOK, more)
}

func smsruError(code int) map[string]any {
	return map[string]any{"status": "ERROR", "status_code": code, "status_text": fmt.Sprintf("Ошибка %d", code)}
}

// smsruSend sends msg to a list, or to[number]=text to each; every number has a status of its own.
func smsruSend(q *request) fault.Answer {
	texts := map[string]string{}
	for _, to := range strings.Split(q.args["to"], ",") {
		if to != "" {
			texts[to] = q.args["msg"]
		}
	}
	for k, text := range q.args {
		if to, ok := strings.CutPrefix(k, "to["); ok {
			texts[strings.TrimSuffix(to, "]")] = text
		}
	}
	if len(texts) == 0 {
		return answerJSON(http.StatusOK, smsruError(202))
	}
	sms := map[string]any{}
	for given, text := range texts {
		to, parts := digits(given), segments(text)
		switch {
		case !mobile(to):
			sms[given] = smsruError(202)
		case text == "":
			sms[given] = smsruError(203)
		case parts > 8:
			sms[given] = smsruError(205)
		case q.repeated("smsru", to, text):
			sms[given] = smsruError(231)
		default:
			id := fmt.Sprintf("%s-%07d", q.now.Format("200601"), 1000000+len(q.p.messages))
			if q.args["test"] != "1" {
				q.arrive(Message{Via: "smsru", To: to, From: q.args["from"], Text: text, ID: id, Parts: parts})
			}
			sms[given] = map[string]any{"status": "OK", "status_code": 100, "sms_id": id}
		}
	}
	return smsruOK(map[string]any{"sms": sms, "balance": q.p.o.Balance})
}

func smsruStatus(q *request) fault.Answer {
	sms := map[string]any{}
	for _, id := range strings.Split(q.args["sms_id"], ",") {
		code := -1
		if i := slices.IndexFunc(q.p.messages, func(m Message) bool { return m.Via == "smsru" && m.ID == id }); i >= 0 {
			code = map[State]int{Delivered: 103, Waiting: 102, Expired: 104}[q.p.messages[i].State]
		}
		sms[id] = map[string]any{"status": map[bool]string{true: "OK", false: "ERROR"}[code > 0], "status_code": code}
	}
	return smsruOK(map[string]any{"sms": sms, "balance": q.p.o.Balance})
}
