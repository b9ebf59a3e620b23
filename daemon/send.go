package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"

	"leadstream/streams"
)

// sendCmd posts each row of a file as a lead. A row's idempotency key is made of the file's name, the row's number and
// its content: sending a file again, or the rest of it after an interruption, creates nothing twice.
type sendCmd struct {
	File     string `arg:"" help:"CSV with a header, or JSON lines; - is standard input.|CSV с заголовком или JSON lines; - это стандартный ввод."`
	URL      string `name:"url" placeholder:"URL" help:"Where leads are taken; default: listen of config.yaml.|Куда слать; по умолчанию listen из config.yaml."`
	Key      string `env:"LEADSTREAM_KEY" help:"The source's key.|Ключ источника."`
	Workers  int    `default:"4" help:"Requests at one time; 1 keeps the file's order.|Запросов одновременно; 1 сохраняет порядок файла."`
	Attempts int    `default:"8" help:"Tries a row, when the daemon is busy or away.|Попыток на строку, если демон занят или недоступен."`
	JSON     bool   `help:"Print the outcome as JSON.|Вывести итог в JSON."`
}

// outcome counts what became of the rows.
type outcome struct {
	Accepted  int       `json:"accepted"`
	Duplicate int       `json:"duplicate"`
	Ignored   int       `json:"ignored"`
	Refused   []refused `json:"refused"`
}

type refused struct {
	Row int    `json:"row"`
	Why string `json:"why"`
}

func (cmd sendCmd) Run(t *terminal) error {
	if cmd.Workers < 1 || cmd.Attempts < 1 {
		return usageError{errors.New(t.say("--workers and --attempts start at 1", "--workers и --attempts начинаются с 1"))}
	}
	if cmd.URL == "" {
		cfg, _, err := Load(t.config)
		if err != nil {
			return usageError{fmt.Errorf("%w; %s", err, t.say("name the address with --url", "укажите адрес ключом --url"))}
		}
		cmd.URL = "http://" + cfg.Listen + "/v1/leads"
	}
	name, in, size, err := cmd.open(t)
	if err != nil {
		return usageError{err}
	}
	defer in.Close()
	bar := t.progress(size)
	read, err := readRows(t.lang, name, io.TeeReader(in, bar))
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", name, err)}
	}
	s := &sender{sendCmd: cmd, name: name, http: http.Client{Timeout: 30 * time.Second}, done: outcome{Refused: []refused{}}}
	err = s.all(t, read)
	_ = bar.Finish()
	return s.report(t, err)
}

func (cmd sendCmd) open(t *terminal) (name string, in io.ReadCloser, size int64, err error) {
	if cmd.File == "-" {
		return "stdin", io.NopCloser(t.in), -1, nil
	}
	f, err := os.Open(cmd.File)
	if err != nil {
		return "", nil, 0, err
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return f.Name(), f, size, nil
}

// progress is a bar on a person's screen, and nothing elsewhere.
func (t *terminal) progress(size int64) *progressbar.ProgressBar {
	if !interactive(t.err) || size <= 0 {
		return progressbar.DefaultSilent(size)
	}
	return progressbar.NewOptions64(size, progressbar.OptionSetWriter(t.err), progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish())
}

type sender struct {
	sendCmd
	name string
	http http.Client

	mu   sync.Mutex
	done outcome
}

// all sends the rows. Its error is what kept it from going on; a row that is refused does not.
func (s *sender) all(ctx context.Context, read func() (row, error)) error {
	g, going := errgroup.WithContext(ctx)
	g.SetLimit(s.Workers)
	var readErr error
	for going.Err() == nil {
		r, err := read()
		if err == io.EOF {
			break
		}
		if err != nil {
			readErr = fmt.Errorf("%s: %w", s.name, err)
			break
		}
		g.Go(func() error { return s.one(going, r) })
	}
	return errors.Join(g.Wait(), readErr, context.Cause(ctx))
}

// one sends a row until it is taken or refused.
func (s *sender) one(ctx context.Context, r row) error {
	if r.fault != "" {
		s.refuse(r.number, r.fault)
		return nil
	}
	backoff := streams.Policy{Base: 500 * time.Millisecond, Factor: 2, Max: 30 * time.Second, Jitter: 0.2}
	for attempt := 1; ; attempt++ {
		again, floor, err := s.try(ctx, r)
		if err == nil {
			return nil
		}
		if !again {
			s.refuse(r.number, err.Error())
			return nil
		}
		if attempt >= s.Attempts || ctx.Err() != nil {
			return fmt.Errorf("row %d: %w", r.number, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff.Delay(attempt, floor)):
		}
	}
}

// try posts the row once; again says whether another try may help, not before floor.
func (s *sender) try(ctx context.Context, r row) (again bool, floor time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(r.body))
	if err != nil {
		return false, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", r.key)
	if s.Key != "" {
		req.Header.Set("Authorization", "Bearer "+s.Key)
	}
	res, err := s.http.Do(req)
	if err != nil {
		return true, 0, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	switch {
	case err != nil:
		return true, 0, err
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500:
		return true, retryAfter(res.Header), errors.New(refusalText(res.Status, answer))
	case res.StatusCode/100 != 2:
		return false, 0, errors.New(refusalText(res.Status, answer))
	}
	s.count(answer)
	return false, 0, nil
}

// retryAfter is what the daemon asks for, in seconds; it sends no dates.
func retryAfter(h http.Header) time.Duration {
	n, _ := strconv.Atoi(h.Get("Retry-After"))
	return time.Duration(min(max(n, 0), 600)) * time.Second
}

func refusalText(status string, answer []byte) string {
	var a struct {
		Error struct{ Code, Message, Field string }
	}
	if json.Unmarshal(answer, &a) != nil || a.Error.Code == "" {
		return status
	}
	return strings.TrimSuffix(fmt.Sprintf("%s %s: %s %s", status[:3], a.Error.Code, a.Error.Message, a.Error.Field), " ")
}

func (s *sender) count(answer []byte) {
	var a struct{ Status string }
	_ = json.Unmarshal(answer, &a) // a source may answer another body: it was a 2xx all the same
	s.mu.Lock()
	defer s.mu.Unlock()
	switch a.Status {
	case "duplicate":
		s.done.Duplicate++
	case "ignored":
		s.done.Ignored++
	default:
		s.done.Accepted++
	}
}

func (s *sender) refuse(number int, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done.Refused = append(s.done.Refused, refused{number, why})
}

// report prints what became of the rows.
func (s *sender) report(t *terminal, err error) error {
	if s.JSON {
		if err := t.json(s.done); err != nil {
			return err
		}
	} else {
		for _, r := range s.done.Refused {
			fmt.Fprintln(t.err, plain(t.say("row %d: %s", "строка %d: %s", r.Row, r.Why)))
		}
		fmt.Fprintln(t.out, t.say("accepted %d, duplicates %d, ignored %d, refused %d", "принято %d, повторов %d, пропущено %d, отказано %d",
			s.done.Accepted, s.done.Duplicate, s.done.Ignored, len(s.done.Refused)))
	}
	if err != nil {
		return fmt.Errorf("%w; %s", err, t.say("send the file again: nothing is created twice", "отправьте файл ещё раз: дважды ничего не создастся"))
	}
	if len(s.done.Refused) > 0 {
		return quietError{exitFailed}
	}
	return nil
}
