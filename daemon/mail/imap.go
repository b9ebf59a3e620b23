package mail

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"net"
	netmail "net/mail"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-message"
	"github.com/emersion/go-message/textproto"
	"github.com/rs/zerolog"

	"leadstream/streams"
)

// Mailbox reads a folder over IMAP, in the order of arrival: each message is told, then marked at the server, then remembered
// as read. So a crash anywhere has it told again, which the journal knows, and none is passed over.
type Mailbox struct {
	Settings
	Source string
	Dir    string // where it remembers how far it has read

	// Tell keeps a message durably, as it came, or what there is of it. After an error it is told again.
	Tell func(ctx context.Context, message []byte) error

	OnUp    func()           // it can be read
	OnFault func(f *Fault)   // it cannot
	Now     func() time.Time // nil: time.Now
	Limit   time.Duration    // of one call; 0: 30 s, more where a message is fetched
	Log     zerolog.Logger

	refused map[uint32]int // how often the server would not give a message
}

// backoff is how long to wait after a fault.
var backoff = streams.Policy{Base: 5 * time.Second, Factor: 2, Max: 5 * time.Minute, Jitter: 0.2}

// maxRefusals is how often the server may refuse a message before those behind it come first.
const maxRefusals = 3

// Run reads until ctx ends. It returns no error: what keeps it from reading is told by OnFault, and it tries again.
func (b *Mailbox) Run(ctx context.Context) error {
	b.Settings = b.withDefaults()
	b.refused = map[uint32]int{}
	for tries := 0; ctx.Err() == nil; {
		progress, err := b.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if progress {
			tries = 0
		}
		tries++
		f := fault("", err)
		b.OnFault(f)
		wait := backoff.Delay(tries, 0)
		if f.Reason == Login { // providers lock a mailbox that is tried often
			wait = max(wait, time.Minute)
		}
		b.Log.Warn().Str("source", b.Source).Str("reason", f.Reason).Str("cure", f.En).Err(f.Err).Dur("again_in", wait).Msg("the mailbox cannot be read")
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// session reads over one connection until it breaks. progress: it got as far as having read what there was.
func (b *Mailbox) session(ctx context.Context) (progress bool, err error) {
	m, err := openMemory(filepath.Join(b.Dir, b.Source+".mail"), b.Host+"\x00"+b.Username+"\x00"+b.Folder, 0)
	if err != nil {
		return false, &Fault{Reason: Journal, En: "the data folder cannot be written", Ru: "папка данных недоступна для записи", Err: err}
	}
	defer m.close()
	c, err := b.connect(ctx)
	if err != nil {
		return false, err
	}
	defer c.close()
	box, err := c.open(b.Folder, b.After == "leave")
	if err != nil {
		return false, err
	}
	if b.After == "move" {
		if err := c.ensure(b.MoveTo); err != nil {
			return false, err
		}
	}
	for {
		if m.validity != box.UIDValidity {
			if err := b.begin(m, box); err != nil {
				return progress, err
			}
		}
		if err := b.catchUp(ctx, c, m); err != nil {
			return progress, err
		}
		progress = true
		b.OnUp()
		if err := c.wait(ctx, b.Every); err != nil {
			return true, err
		}
	}
}

// Look is what a mailbox holds.
type Look struct {
	Messages uint32
	Newest   time.Time // when the newest arrived
	Not      string    // why the newest is no enquiry, or that it cannot be read
}

// Look tries whether the mailbox can be read, and changes nothing.
func (b *Mailbox) Look(ctx context.Context) (*Look, error) {
	b.Settings = b.withDefaults()
	c, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	box, err := c.open(b.Folder, true)
	if err != nil || box.NumMessages == 0 {
		return &Look{}, err
	}
	uids, err := c.since(1, b.now().AddDate(0, 0, -7))
	if err != nil || len(uids) == 0 {
		return &Look{Messages: box.NumMessages, Not: "older than a week"}, err
	}
	l, err := c.fetch(uids[len(uids)-1])
	if err != nil || l == nil {
		return &Look{Messages: box.NumMessages, Not: "gone"}, err
	}
	look := &Look{Messages: box.NumMessages, Newest: l.at}
	m, err := Reader{}.Read(l.raw, b.now())
	if err != nil {
		look.Not = err.Error()
		return look, nil
	}
	look.Not = m.Not
	return look, nil
}

func (b *Mailbox) now() time.Time {
	if b.Now != nil {
		return b.Now()
	}
	return time.Now()
}

// begin starts with a mailbox that is new to us, or that its server has made anew.
func (b *Mailbox) begin(m *memory, box *imap.SelectData) error {
	from, until := m.from, uint32(box.UIDNext)
	if m.validity == 0 {
		from, until = b.now().Add(-b.Past), 0
		b.Log.Info().Str("source", b.Source).Time("from", from).Msg("the mailbox is read for the first time")
	} else {
		b.Log.Warn().Str("source", b.Source).Msg("the server has made the mailbox anew; what was read is known by its Message-ID")
		if until == 0 { // the server does not say where it ends
			until = ^uint32(0)
		}
	}
	if err := m.begin(box.UIDValidity, from, until); err != nil {
		return &Fault{Reason: Journal, En: "the data folder cannot be written", Ru: "папка данных недоступна для записи", Err: err}
	}
	return nil
}

// catchUp reads what has come since, the oldest first.
func (b *Mailbox) catchUp(ctx context.Context, c *conversation, m *memory) error {
	uids, err := c.since(m.uid+1, m.from)
	if err != nil {
		return err
	}
	for _, uid := range uids {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := b.one(ctx, c, m, uid); err != nil {
			return err
		}
	}
	return nil
}

// one reads a message to its end: told, marked, remembered.
func (b *Mailbox) one(ctx context.Context, c *conversation, m *memory, uid uint32) error {
	l, err := c.fetch(uid)
	var no *imap.Error
	switch {
	case errors.As(err, &no): // the server has it and cannot give it: those behind it must not wait for ever
		if b.refused[uid]++; b.refused[uid] < maxRefusals {
			return fault("fetch", err)
		}
		l = &fetched{at: b.now(), raw: []byte("the server refused to give this message")}
	case err != nil:
		return fault("fetch", err)
	case l == nil:
		return nil // a person has moved or deleted it since
	}
	delete(b.refused, uid)
	k, sent := fingerprint(l.raw)
	if old := b.read(m, l, k, sent, uid); !old {
		if err := b.Tell(ctx, l.raw); err != nil {
			return &Fault{Reason: Journal, En: "the mail cannot be kept now; it stays at the server", Ru: "письмо сейчас не сохранить; оно остаётся на сервере", Err: err}
		}
		if err := c.mark(uid, b.After, b.MoveTo); errors.As(err, &no) {
			b.Log.Error().Str("source", b.Source).Str("after", b.After).Msg("the server refuses to mark a mail that was read")
		} else if err != nil {
			return err
		}
	}
	if err := m.done(uid, l.at, k); err != nil {
		return &Fault{Reason: Journal, En: "the data folder cannot be written", Ru: "папка данных недоступна для записи", Err: err}
	}
	return nil
}

// read is whether a message is none of ours to read: it was there long before the first start, or has been read under
// another number.
func (b *Mailbox) read(m *memory, l *fetched, k mark, sent time.Time, uid uint32) bool {
	if l.at.Before(m.from) {
		return true
	}
	if uid >= m.until {
		return false
	}
	_, known := m.marks[k]
	// A move to another server may have given all messages the day of the move.
	return known || sent.Year() >= 2000 && sent.Before(m.from.Add(-48*time.Hour))
}

// fingerprint is the mark of a message, and when its sender says it was sent. One without Message-ID has no mark.
func fingerprint(raw []byte) (k mark, sent time.Time) {
	head, _ := split(raw)
	h, err := textproto.ReadHeader(newReader(head))
	if err != nil {
		return mark{}, time.Time{}
	}
	header := message.Header{Header: h}
	sent, _ = netmail.ParseDate(header.Get("Date"))
	id := header.Get("Message-Id")
	if id == "" {
		return mark{}, sent
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{id, header.Get("Date"), header.Get("From"), header.Get("Subject")}, "\x00")))
	copy(k[:], sum[:])
	return k, sent
}

// conversation is one connection to a server. Every call of it ends in time, and at once when ctx ends.
type conversation struct {
	*imapclient.Client
	raw   net.Conn
	limit time.Duration
	stop  func() bool
	late  atomic.Bool
	news  chan struct{}
}

// connect logs in.
func (b *Mailbox) connect(ctx context.Context) (*conversation, error) {
	limit := b.Limit
	if limit == 0 {
		limit = 30 * time.Second
	}
	trust, err := b.config()
	if err != nil {
		return nil, &Fault{Reason: Certificate, En: "mail.ca_file cannot be read", Ru: "mail.ca_file не читается", Err: err}
	}
	dialing, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var d net.Dialer
	raw, err := d.DialContext(dialing, "tcp", b.address())
	if err != nil {
		return nil, fault("dial", err)
	}
	c := &conversation{raw: raw, limit: limit, news: make(chan struct{}, 1)}
	c.stop = context.AfterFunc(ctx, func() { _ = raw.Close() })
	options := &imapclient.Options{TLSConfig: trust, UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				select {
				case c.news <- struct{}{}:
				default:
				}
			}
		},
	}}
	if b.TLS == "tls" {
		secure := tls.Client(raw, trust)
		if err := secure.HandshakeContext(dialing); err != nil {
			c.stop()
			_ = raw.Close()
			return nil, fault("tls", err)
		}
		c.raw = secure
	}
	if err := c.call("greeting", limit, func() (err error) {
		if b.TLS == "starttls" {
			c.Client, err = imapclient.NewStartTLS(raw, options)
			if err != nil {
				return err
			}
		} else {
			c.Client = imapclient.New(c.raw, options)
		}
		return c.WaitGreeting()
	}); err != nil {
		c.close()
		return nil, err
	}
	if err := c.call("login", limit, func() error { return c.Login(b.Username, b.Password).Wait() }); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// call does one step of the conversation within its time: when that is over the connection is closed under it.
func (c *conversation) call(step string, limit time.Duration, do func() error) error {
	timer := time.AfterFunc(limit, func() {
		c.late.Store(true)
		_ = c.raw.Close()
	})
	err := do()
	timer.Stop()
	if err != nil && c.late.Load() {
		err = errTime
	}
	if err != nil {
		return fault(step, err)
	}
	return nil
}

func (c *conversation) close() {
	c.stop()
	if c.Client != nil {
		_ = c.Client.Close()
	}
	_ = c.raw.Close()
}

func (c *conversation) open(folder string, readOnly bool) (box *imap.SelectData, err error) {
	err = c.call("select", c.limit, func() (err error) {
		box, err = c.Select(folder, &imap.SelectOptions{ReadOnly: readOnly}).Wait()
		return err
	})
	if err == nil && box.UIDValidity == 0 {
		err = &Fault{Reason: Refused, En: "the server gives its messages no lasting numbers", Ru: "сервер не даёт письмам постоянных номеров", Err: errors.New("no UIDVALIDITY")}
	}
	return box, err
}

// ensure makes a folder that is not there.
func (c *conversation) ensure(folder string) error {
	var there bool
	err := c.call("list", c.limit, func() error {
		found, err := c.List("", folder, nil).Collect()
		there = len(found) > 0
		return err
	})
	if err != nil || there {
		return err
	}
	return c.call("create", c.limit, func() error { return c.Create(folder, nil).Wait() })
}

// since are the numbers of messages from the first one on that arrived on that day or later, ascending.
func (c *conversation) since(first uint32, day time.Time) (uids []uint32, err error) {
	var set imap.UIDSet
	set.AddRange(imap.UID(first), 0) // 0 is the last
	err = c.call("search", c.limit, func() error {
		// A day earlier: the server's day is of a zone that we do not know.
		data, err := c.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{set}, Since: day.AddDate(0, 0, -1)}, nil).Wait()
		if err != nil {
			return err
		}
		for _, uid := range data.AllUIDs() {
			if uint32(uid) >= first { // the last one is always within n:*
				uids = append(uids, uint32(uid))
			}
		}
		return nil
	})
	slices.Sort(uids)
	return uids, err
}

// fetched is a message as the server gives it.
type fetched struct {
	at  time.Time // when it arrived
	raw []byte
}

// fetch gets a message without marking it as seen; nil when it is no longer there.
func (c *conversation) fetch(uid uint32) (l *fetched, err error) {
	section := &imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Size: Most + 1}}
	limit := c.limit + 5*time.Minute // for 25 MB over a slow line
	err = c.call("fetch", limit, func() error {
		cmd := c.Fetch(imap.UIDSetNum(imap.UID(uid)), &imap.FetchOptions{UID: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{section}})
		for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
			var one fetched
			var id imap.UID
			for item := msg.Next(); item != nil; item = msg.Next() {
				switch item := item.(type) {
				case imapclient.FetchItemDataUID:
					id = item.UID
				case imapclient.FetchItemDataInternalDate:
					one.at = item.Time
				case imapclient.FetchItemDataBodySection:
					if item.Literal == nil {
						continue
					}
					var all bytes.Buffer
					if _, err := io.Copy(&all, io.LimitReader(item.Literal, Most+1)); err != nil {
						_ = cmd.Close()
						return err
					}
					one.raw = all.Bytes()
				}
			}
			if uint32(id) == uid && one.raw != nil {
				l = &one
			}
		}
		return cmd.Close()
	})
	return l, err
}

// mark does at the server what is to become of a message that was read. A message is deleted only where it has been copied.
func (c *conversation) mark(uid uint32, after, folder string) error {
	set := imap.UIDSetNum(imap.UID(uid))
	flag := func(f imap.Flag) error {
		return c.call("store", c.limit, func() error {
			return c.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{f}}, nil).Close()
		})
	}
	switch {
	case after == "seen":
		return flag(imap.FlagSeen)
	case after != "move":
		return nil
	case c.Caps().Has(imap.CapMove):
		return c.call("move", c.limit, func() error { _, err := c.Move(set, folder).Wait(); return err })
	}
	if err := c.call("copy", c.limit, func() error { _, err := c.Copy(set, folder).Wait(); return err }); err != nil {
		return err
	}
	if err := flag(imap.FlagDeleted); err != nil || !c.Caps().Has(imap.CapUIDPlus) {
		return err
	}
	return c.call("expunge", c.limit, func() error { return c.UIDExpunge(set).Close() })
}

// wait returns when there may be something new: the server has said so, or it is time to look again, which also finds out
// that the connection is dead.
func (c *conversation) wait(ctx context.Context, every time.Duration) error {
	timer := time.NewTimer(every)
	defer timer.Stop()
	pause := func() error {
		select {
		case <-c.news:
		case <-timer.C:
		case <-c.Closed():
			return fault("wait", io.ErrUnexpectedEOF)
		case <-ctx.Done():
			return ctx.Err()
		}
		return nil
	}
	if !c.Caps().Has(imap.CapIdle) {
		timer.Reset(every)
		if err := pause(); err != nil {
			return err
		}
		return c.call("noop", c.limit, func() error { return c.Noop().Wait() })
	}
	var idle *imapclient.IdleCommand
	if err := c.call("idle", c.limit, func() (err error) { idle, err = c.Idle(); return err }); err != nil {
		return err
	}
	if err := pause(); err != nil {
		return err
	}
	return c.call("idle", c.limit, func() error {
		if err := idle.Close(); err != nil {
			return err
		}
		return idle.Wait()
	})
}
