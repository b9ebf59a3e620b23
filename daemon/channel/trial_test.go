package channel

import "testing"

// Every protocol takes its trial for the service's own, and keeps nothing of it; with another secret it does not.
func TestTrials(t *testing.T) {
	for _, name := range Names() {
		c := Config{Secrets: []string{"s3cret", "old"}, Accounts: []string{"200000001"}, Verification: "v", URL: "https://leads.example.test/in/x"}
		p, trial := New(name, c), Trial(name, c)
		if trial.Body == "" {
			t.Errorf("%s has no trial", name)
			continue
		}
		r := request(trial.Body, trial.Header[0], trial.Header[1])
		if _, greeting := p.Greet(r, []byte(trial.Body)); greeting {
			t.Errorf("%s: it is a greeting", name)
		}
		if p.Verify(r, []byte(trial.Body)) == Open(name) {
			t.Errorf("%s: it proves nothing", name)
		}
		c.Secrets = []string{"another"}
		if New(name, c).Verify(r, []byte(trial.Body)) {
			t.Errorf("%s: it proves itself to who has another secret", name)
		}
		events, err := p.Read([]byte(trial.Body), trial.ContentType)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, e := range events {
			if e.Ignore == "" || e.Err != nil {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
}
