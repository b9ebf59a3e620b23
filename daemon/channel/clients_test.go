package channel

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/streams"
)

// clientTold is what somebody else's client made of one request.
type clientTold struct {
	Code   int            `json:"code"`
	Answer string         `json:"answer"`
	Told   map[string]any `json:"told"`
}

// TestVendorsOwnClients holds us to clients that others wrote: MAX's and Twilio's own, and vk-io. They take and refuse
// the same requests, answer VK the same, and find the same customer and the same words in them.
func TestVendorsOwnClients(t *testing.T) {
	const folder = "testdata/clients"
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("%v: run scripts/npm-test-deps once", err)
	}
	if _, err := os.Stat(folder + "/node_modules/vk-io"); err != nil {
		t.Fatalf("%v: run scripts/npm-test-deps once", err)
	}
	vkBodies := map[string]string{
		"message": vkMessageNew, "confirmation": strings.Replace(vkConfirm, "}", `,"secret":"s3cretTest"}`, 1),
		"forged": strings.Replace(vkMessageNew, "s3cretTest", "guess", 1),
		"photo": vkSecret(vkTold("message_new", `{"message":{"date":1767225600,"from_id":7,"peer_id":7,"id":41,"conversation_message_id":12,"text":"","payload":"{\"command\":\"start\"}",`+
			`"attachments":[{"type":"photo","photo":{"id":3,"album_id":-3,"date":1767225600,"owner_id":7,"sizes":[{"type":"s","url":"https://a.test/s","width":75,"height":75},{"type":"w","url":"https://a.test/w","width":900,"height":600}]}}]},"client_info":{}}`)),
		"group":  vkSecret(vkTold("message_new", `{"message":{"date":1767225600,"from_id":7,"peer_id":2000000001,"id":0,"conversation_message_id":1,"text":"да"},"client_info":{}}`)),
		"button": vkSecret(vkTold("message_event", `{"user_id":7,"peer_id":7,"event_id":"a","payload":{"svc":"repair"}}`)),
	}
	maxBodies := map[string]string{"created": maxCreated, "started": maxStarted, "contact": maxContact, "pressed": maxPressed}
	asked := map[string]any{
		"vk":  map[string]any{"secret": "s3cretTest", "confirmation": "a1b2c3d4", "bodies": vkBodies},
		"max": map[string]any{"secret": "max_secret", "bodies": maxBodies},
		"twilio": []map[string]string{
			{"token": "auth_token", "signature": twilioSigned, "url": twilioURL, "body": twilioMissed},
			{"token": "auth_token", "signature": twilioSigned, "url": strings.Replace(twilioURL, ".test/", ".test:443/", 1), "body": twilioMissed},
			{"token": "auth_token", "signature": twilioSigned, "url": twilioURL, "body": twilioMissed + "&x=1"},
		},
	}
	question, err := json.Marshal(asked)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "told.mjs")
	cmd.Dir, cmd.Stdin = folder, bytes.NewReader(question)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, raw, stderr.Bytes())
	}
	var got struct {
		VK        map[string]clientTold `json:"vk"`
		Max       map[string]clientTold `json:"max"`
		MaxForged map[string]clientTold `json:"maxForged"`
		Twilio    []bool                `json:"twilio"`
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}

	ours := New("vk", Config{Secrets: []string{"s3cretTest"}, Verification: "a1b2c3d4"})
	for name, body := range vkBodies {
		theirs := got.VK[name]
		if reply, ok := ours.Greet(request(body), []byte(body)); ok {
			if reply.Code != theirs.Code || reply.Body != theirs.Answer {
				t.Errorf("vk %s: we answer %v, they %d %q", name, reply, theirs.Code, theirs.Answer)
			}
			continue
		}
		proven := ours.Verify(request(body), []byte(body))
		if proven != (theirs.Code == http.StatusOK && theirs.Answer == Answer("vk")) {
			t.Errorf("vk %s: proven %v, they answer %d %q", name, proven, theirs.Code, theirs.Answer)
		}
		if !proven {
			continue
		}
		e := read(t, ours, body)
		if e.Ignore != "" {
			if theirs.Told["group"] != true {
				t.Errorf("vk %s: we ignore it (%s), they tell %v", name, e.Ignore, theirs.Told)
			}
			continue
		}
		if theirs.Told["user"] != e.Lead.UserID || theirs.Told["text"] != nil && theirs.Told["text"] != e.Lead.Message {
			t.Errorf("vk %s: we read %+v, they %v", name, e.Lead, theirs.Told)
		}
		if n, ok := theirs.Told["number"].(string); ok && !strings.HasSuffix(e.Lead.Key, ":"+n) {
			t.Errorf("vk %s: our key is %s, their number %s", name, e.Lead.Key, n)
		}
		for _, key := range []string{"payload", "button"} {
			if payload, ok := e.Lead.Fields[key]; ok {
				var value any
				if err := json.Unmarshal(payload, &value); err != nil || cmp.Diff(theirs.Told["payload"], value) != "" {
					t.Errorf("vk %s: our payload is %s, theirs %v", name, payload, theirs.Told["payload"])
				}
			}
		}
	}
	if files := got.VK["photo"].Told["files"]; cmp.Diff([]any{"photo 7_3 https://a.test/w"}, files) != "" ||
		cmp.Diff([]streams.Media{{Kind: "photo", Ref: "7_3", URL: "https://a.test/w"}}, read(t, ours, vkBodies["photo"]).Lead.Media) != "" {
		t.Errorf("vk photo: they see %v", files)
	}

	ours = New("max", Config{Secrets: []string{"max_secret"}, Region: "RU"})
	for name, body := range maxBodies {
		theirs := got.Max[name]
		if theirs.Code != http.StatusOK || got.MaxForged[name].Code == http.StatusOK || ours.Verify(request(body, "X-Max-Bot-Api-Secret", "guess"), nil) ||
			!ours.Verify(request(body, "X-Max-Bot-Api-Secret", "max_secret"), nil) {
			t.Errorf("max %s: they answer %d, and %d to a forged one", name, theirs.Code, got.MaxForged[name].Code)
		}
		l := read(t, ours, body).Lead
		text := l.Message
		if theirs.Told["kind"] != "message_created" {
			text = theirs.Told["text"].(string) // the bot's own, under the button
		}
		start := l.UTM["campaign"]
		phone, _ := streams.NormalizePhone("+"+theirs.Told["phone"].(string), "RU")
		if theirs.Told["user"] != l.UserID || theirs.Told["text"] != text || theirs.Told["start"] != start || phone != l.Phone ||
			theirs.Told["mid"] != "" && theirs.Told["mid"] != l.Key || theirs.Told["pressed"] != "" && theirs.Told["pressed"] != l.Message {
			t.Errorf("max %s: we read %+v, they %v", name, l, theirs.Told)
		}
	}
	if diff := cmp.Diff([]bool{true, true, false}, got.Twilio); diff != "" {
		t.Errorf("twilio: %s", diff)
	}
}

// vkSecret gives a body of vkTold's the secret of the others.
func vkSecret(body string) string {
	return strings.Replace(body, `"secret":"s"`, `"secret":"s3cretTest"`, 1)
}

func read(t *testing.T, p Protocol, body string) Event {
	t.Helper()
	events, err := p.Read([]byte(body), "application/json")
	if err != nil || len(events) != 1 || events[0].Err != nil {
		t.Fatalf("%v, %+v", err, events)
	}
	return events[0]
}
