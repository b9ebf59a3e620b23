package phone

import (
	"net/http"
	"strconv"

	"leadstream/sinks/sim/fault"
)

// gatewayRoutes are a company's own gateways: Kannel's smsbox, and a plain one that takes to and text in any form.
func (p *Phone) gatewayRoutes() {
	p.mux.HandleFunc("/cgi-bin/sendsms", func(w http.ResponseWriter, r *http.Request) {
		p.serve(w, r, "kannel.send", service{run: kannelSend, refuse: plainRefusal})
	})
	p.mux.HandleFunc("/gateway/send", func(w http.ResponseWriter, r *http.Request) {
		p.serve(w, r, "gateway.send", service{run: gatewaySend, refuse: plainRefusal})
	})
}

func plainRefusal(f Fault) fault.Answer {
	status := f.Status
	if status == 0 {
		status = http.StatusServiceUnavailable
	}
	text := f.Description
	if text == "" {
		text = f.Code
	}
	return answerText(status, text)
}

func kannelSend(q *request) fault.Answer {
	if q.args["username"] != q.p.login("shop") || q.args["password"] != q.p.o.Secret {
		return answerText(http.StatusForbidden, "Authorization failed for sendsms")
	}
	to := digits(q.args["to"])
	if to == "" {
		return answerText(http.StatusBadRequest, "Missing receiver number, rejected")
	}
	if !mobile(to) {
		return answerText(http.StatusForbidden, "Not routable. Do not try again.")
	}
	text := q.args["text"]
	q.arrive(Message{Via: "kannel", To: to, From: q.args["from"], Text: text, ID: "0", Parts: segments(text)})
	return answerText(http.StatusAccepted, "0: Accepted for delivery")
}

func gatewaySend(q *request) fault.Answer {
	to, text := q.args["to"], q.args["text"]
	if to == "" || text == "" {
		return answerJSON(http.StatusBadRequest, map[string]any{"error": "to and text are required"})
	}
	m := q.arrive(Message{Via: "gateway", To: to, From: q.args["from"], Text: text,
		ID: strconv.Itoa(len(q.p.messages) + 1), Parts: segments(text)})
	return answerJSON(http.StatusOK, map[string]any{"id": m.ID})
}
