package portal

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// certified makes a certificate for 127.0.0.1 that is its own authority, and the file that names it.
func certified(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}

// TestVendorsOwnClient holds the portal to the client that Bitrix24 publishes: what it makes of our answers is what it
// makes of a real portal's.
func TestVendorsOwnClient(t *testing.T) {
	const folder = "testdata/b24jssdk"
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("%v: run scripts/npm-test-deps once", err)
	}
	if _, err := os.Stat(folder + "/node_modules/@bitrix24/b24jssdk"); err != nil {
		t.Fatalf("%v: run scripts/npm-test-deps once", err)
	}
	config, ca := certified(t)
	p := start(t, Options{TLS: config, NeedHTTPS: true, Limits: Limits{Drain: 20, Block: 10, Cost: 200 * time.Millisecond}})
	p.Inject(Fault{Method: "crm.lead.add", LoseAnswer: true, Times: 1})

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "held.mjs", p.URL())
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+ca)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, raw, stderr.Bytes())
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	failed := func(code string, status float64, message string) map[string]any {
		return map[string]any{"class": "AjaxError", "code": code, "status": status, "message": message}
	}
	want := map[string]any{
		"added": map[string]any{"id": 1.0, "title": "Кухня & шкаф", "fm": []any{
			[]any{"PHONE", "MOBILE", "+79990000011"}, []any{"EMAIL", "WORK", "anna@example.test"}}},
		"found":         []any{map[string]any{"id": 1.0, "stageId": "NEW", "originId": "sdk-1"}},
		"classic":       []any{map[string]any{"ID": "1", "STATUS_ID": "NEW"}},
		"byPhone":       map[string]any{"LEAD": []any{1.0}},
		"noPhone":       []any{},
		"comment":       1.0,
		"comments":      []any{"is it in stock? [ls:evt-77]"},
		"batch":         map[string]any{"ok": true, "title": "A&B=[c]", "lead": 2.0, "todo": 1.0},
		"mixed":         []any{"ok", "NOT_FOUND", "ok"},
		"unknownMethod": failed("ERROR_METHOD_NOT_FOUND", 404, "Method not found!"),
		"missingItem":   failed("NOT_FOUND", 400, "Элемент не найден"),
		"badFilter":     failed("INVALID_ARG_VALUE", 400, "Invalid filter: field 'nope' is not allowed in filter"),
		"wrongSecret":   failed("NO_AUTH_FOUND", 401, "Wrong authorization data"),
		"operating":     0.2,
		"lost":          failed("ECONNRESET", 0, "socket hang up"),
		"lostFound":     1.0,
		"throttled":     map[string]any{"answered": 14.0, "retried": true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := p.Created("sdk-3"); len(got) != 1 {
		t.Errorf("the lead whose answer was lost: %v", got)
	}
	if twice := p.Duplicates(); len(twice) > 0 {
		t.Errorf("created twice: %v", twice)
	}
}
