// Package recordstest runs a real PostgreSQL for tests.
package recordstest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// Postgres is a server in a folder of its own, on a unix socket. Its user is "leads" with the password "hush".
type Postgres struct {
	Dir  string
	bin  string
	proc *os.Process
	gone chan struct{}
	n    atomic.Int64
}

// Start starts one. As root it runs as another user: PostgreSQL refuses root.
func Start() (*Postgres, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		return nil, errors.New("install postgresql: scripts/test does it")
	}
	slices.Sort(found)
	dir, err := os.MkdirTemp("/tmp", "lspg")
	if err != nil {
		return nil, err
	}
	p := &Postgres{Dir: dir, bin: filepath.Dir(found[len(found)-1])}
	if err := p.make(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Postgres) make() error {
	as, err := anybody()
	if err != nil {
		return err
	}
	if as != nil {
		if err := os.Chown(p.Dir, int(as.Uid), int(as.Gid)); err != nil {
			return err
		}
	}
	secret := filepath.Join(p.Dir, "password")
	if err := os.WriteFile(secret, []byte("hush\n"), 0o644); err != nil {
		return err
	}
	initdb := exec.Command(filepath.Join(p.bin, "initdb"), "-D", p.data(), "-U", "leads", "-A", "scram-sha-256", "--pwfile", secret,
		"-E", "UTF8", "--locale=C", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = &syscall.SysProcAttr{Credential: as}, p.Dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return p.Run()
}

func (p *Postgres) data() string { return filepath.Join(p.Dir, "data") }

// anybody is whom the server runs as: nil, whoever we are, unless that is root.
func anybody() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// Run runs it again after Stop, and waits until it answers.
func (p *Postgres) Run() error {
	as, err := anybody()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(p.Dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), "-D", p.data(), "-k", p.Dir, "-c", "listen_addresses=")
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, p.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGQUIT}
	started, gone := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the kernel ties "dies with its parent" to the thread that started it
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(gone)
	}()
	if err := <-started; err != nil {
		return err
	}
	p.proc, p.gone = cmd.Process, gone
	db, err := sql.Open("pgx", p.URL("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	for deadline := time.Now().Add(30 * time.Second); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := db.PingContext(ctx)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-gone:
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("postgres ended at once:\n%s", text)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("postgres does not answer: %w", err)
		}
	}
}

// Stop ends it as a power cut would, but for what the disk has.
func (p *Postgres) Stop() {
	if p.proc == nil {
		return
	}
	_ = p.proc.Signal(syscall.SIGQUIT) // it may have ended
	<-p.gone
	p.proc = nil
}

// Close ends it and removes its folder.
func (p *Postgres) Close() error {
	p.Stop()
	return os.RemoveAll(p.Dir)
}

// URL is the address of a database.
func (p *Postgres) URL(database string) string {
	return "postgres://leads:hush@/" + database + "?host=" + p.Dir
}

// Database makes an empty database and answers its address.
func (p *Postgres) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", p.n.Add(1))
	db, err := sql.Open("pgx", p.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	return p.URL(name)
}
