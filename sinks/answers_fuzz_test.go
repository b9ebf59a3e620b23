package sinks

import (
	"encoding/json"
	"errors"
	"net/textproto"
	"testing"
	"time"

	"leadstream/sinks/httpx"
	"leadstream/streams"
)

// FuzzTelegramAnswer: no answer passes for a delivered message unless it names one, no wait is endless, and what
// Telegram writes (it repeats what it was sent) does not get into our error.
func FuzzTelegramAnswer(f *testing.F) {
	f.Add(200, `{"ok":true,"result":{"message_id":7}}`)
	f.Add(429, `{"ok":false,"error_code":429,"parameters":{"retry_after":1e300}}`)
	f.Add(400, `{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}`)
	f.Add(502, `<html>`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		a := httpx.Answer{Status: status, Body: []byte(body)}
		var answer telegramAnswer
		if json.Unmarshal(a.Body, &answer) != nil {
			answer = telegramAnswer{}
		}
		v := telegramVerdict(a, answer, nil)
		checkVerdict(t, v.Verdict)
		if v.Result == streams.Done && (!answer.OK || answer.Result.MessageID == 0 || status < 200 || status > 299) {
			t.Errorf("%d %q passes for delivered", status, body)
		}
	})
}

// FuzzMailReply: every reply of a mail server gets a verdict, and its text stays out of our error.
func FuzzMailReply(f *testing.F) {
	f.Add(450, "4.2.0 greylisted, come back", stageConnect)
	f.Add(550, "5.1.1 <boss@example.test> unknown", stageEnd)
	f.Add(354, "go ahead", stageEnd)
	f.Fuzz(func(t *testing.T, code int, text, stage string) {
		for _, err := range []error{&textproto.Error{Code: code, Msg: text}, errors.New(text)} {
			v := emailVerdict(stage, err).Verdict
			checkVerdict(t, v)
			if v.Result == streams.Done {
				t.Errorf("%v at %s passes for delivered", err, stage)
			}
		}
	})
}

// checkVerdict tests what holds of each verdict: one that is not Done says why, and waits at most a day.
func checkVerdict(t *testing.T, v streams.Verdict) {
	t.Helper()
	if (v.Err == nil) != (v.Result == streams.Done) {
		t.Errorf("result %d with error %v", v.Result, v.Err)
	}
	if v.After < 0 || v.After > 24*time.Hour {
		t.Errorf("waits %s", v.After)
	}
}
