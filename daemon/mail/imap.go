package mail

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net"
	netmail "net/mail"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
// as read. So a crash anywhere has it told again, which the journal knows, and none is passed over. A message that cannot be
// read while others can is put off, and tried again for as long as it is there.
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

	failed map[uint32]trouble
}

// trouble is a message that could not be read.
type trouble struct {
	times int
	again time.Time // not before, once it is put off
}

// backoff is how long to wait after a fault.
var backoff = streams.Policy{Base: 5 * time.Second, Factor: 2, Max: 5 * time.Minute, Jitter: 0.2}

// later is how long to wait before a message that was put off is tried again.
var later = streams.Policy{Base: time.Minute, Factor: 2, Max: 4 * time.Hour, Jitter: 0.2}

// maxTries is how often a message may fail before those behind it come first.
const maxTries = 3

// Run reads until ctx ends. It returns no error: what keeps it from reading is told by OnFault, and it tries again.
func (b *Mailbox) Run(ctx context.Context) error {
	b.Settings = b.withDefaults()
	b.failed = map[uint32]trouble{}
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
	name := sha256.Sum256([]byte(b.Mailbox()))
	m, err := openMemory(filepath.Join(b.Dir, hex.EncodeToString(name[:8])+".mail"), 0)
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
		if m.validity != box.UIDValidity || m.host != b.server() { // two servers may have the same UIDVALIDITY, say 1
			if err := b.begin(c, m, box); err != nil {
				return progress, err
			}
		}
		if err := b.catchUp(ctx, c, m); err != nil {
			return progress, err
		}
		progress = true
		if err := b.retry(ctx, c, m); err != nil {
			return true, err
		}
		if len(m.off) > 0 {
			b.OnFault(&Fault{Reason: Stuck, En: "the server does not give some of the mails; the others are read", Ru: "часть писем сервер не отдаёт; остальные читаются", Err: errNoMessage})
		} else {
			b.OnUp()
		}
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
	uids, err := c.search(1, 0, b.now().AddDate(0, 0, -7))
	if err != nil || len(uids) == 0 {
		return &Look{Messages: box.NumMessages, Not: "older than a week"}, err
	}
	l, err := c.fetch(uids[len(uids)-1], &wholeMail, true)
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

// begin starts with a mailbox that is new to us, or that its server has made anew. What comes from now on is new, whatever date
// it bears; of what is there already the date tells.
func (b *Mailbox) begin(c *conversation, m *memory, box *imap.SelectData) error {
	from, until := b.from(m), uint32(box.UIDNext)
	if until == 0 { // the server does not say where it ends
		uids, err := c.search(1, 0, time.Time{})
		if err != nil {
			return err
		}
		until = 1
		if len(uids) > 0 {
			until = uids[len(uids)-1] + 1
		}
	}
	if m.validity == 0 {
		from = b.now().Add(-b.Past)
		b.Log.Info().Str("source", b.Source).Time("from", from).Msg("the mailbox is read for the first time")
	} else {
		b.Log.Warn().Str("source", b.Source).Msg("the mailbox lies at another server, or was made anew; what was read is known by its Message-ID")
	}
	clear(b.failed)
	return b.kept(m.begin(b.server(), box.UIDValidity, from, until))
}

// from is when the first of those messages arrived that are to be read of what was there at the start. A clock that was wrong
// then may have set it into the future.
func (b *Mailbox) from(m *memory) time.Time {
	if now := b.now(); m.from.After(now) {
		return now.Add(-b.Past)
	}
	return m.from
}

// kept is a fault when the data folder cannot be written.
func (b *Mailbox) kept(err error) error {
	if err == nil {
		return nil
	}
	return &Fault{Reason: Journal, En: "the data folder cannot be written", Ru: "папка данных недоступна для записи", Err: err}
}

// catchUp reads what has come since, the oldest first, and what fails again and again last: when all fails, the mailbox is at
// fault and not a message.
func (b *Mailbox) catchUp(ctx context.Context, c *conversation, m *memory) error {
	uids, err := c.search(max(m.uid+1, m.until), 0, time.Time{})
	if err != nil {
		return err
	}
	if m.uid+1 < m.until {
		there, err := c.search(m.uid+1, m.until-1, b.from(m))
		if err != nil {
			return err
		}
		uids = append(there, uids...)
	}
	bad := func(uid uint32) int { return max(0, b.failed[uid].times-maxTries+1) }
	slices.SortStableFunc(uids, func(x, y uint32) int { return bad(x) - bad(y) })
	for _, uid := range uids {
		if m.off[uid] {
			continue
		}
		if err := b.try(ctx, c, m, uid); err != nil {
			return err
		}
	}
	return nil
}

// retry tries again what was put off and is due.
func (b *Mailbox) retry(ctx context.Context, c *conversation, m *memory) error {
	for _, uid := range slices.Sorted(maps.Keys(m.off)) {
		if b.now().Before(b.failed[uid].again) {
			continue
		}
		err := b.try(ctx, c, m, uid)
		if err == nil {
			continue
		}
		if ctx.Err() != nil || ours(err) || !m.off[uid] { // it was read, and could not be marked
			return err
		}
		t := b.failed[uid]
		b.Log.Error().Str("source", b.Source).Uint32("uid", uid).Int("tries", t.times).Time("again", t.again).Err(err).Msg("a mail cannot be read; it stays at the server")
		var no *imap.Error
		if !errors.As(err, &no) && !errors.Is(err, errNoMessage) { // the connection is gone
			return err
		}
	}
	return nil
}

// try reads a message, and counts when that fails.
func (b *Mailbox) try(ctx context.Context, c *conversation, m *memory, uid uint32) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err := b.one(ctx, c, m, uid)
	switch {
	case err == nil:
		delete(b.failed, uid)
	case ctx.Err() == nil && !ours(err):
		t := b.failed[uid]
		t.times++
		t.again = b.now().Add(later.Delay(t.times, 0))
		b.failed[uid] = t
	}
	return err
}

// ours is whether it is us who cannot keep a message.
func ours(err error) bool {
	var f *Fault
	return errors.As(err, &f) && f.Reason == Journal
}

// one reads a message to its end: told, marked, remembered.
func (b *Mailbox) one(ctx context.Context, c *conversation, m *memory, uid uint32) error {
	there := uid < m.until // since before we began
	if there && b.failed[uid].times == 0 {
		h, err := c.fetch(uid, &mailHeader, true)
		switch {
		case err != nil:
			return err
		case h == nil:
			return b.gone(m, uid)
		case b.old(m, h):
			return b.done(m, uid, mark{})
		}
	}
	l, err := c.fetch(uid, &wholeMail, false)
	switch {
	case err != nil:
		return err
	case l == nil:
		return b.gone(m, uid)
	case there && b.old(m, l):
		return b.done(m, uid, mark{})
	}
	if err := b.Tell(ctx, l.raw); err != nil {
		return &Fault{Reason: Journal, En: "the mail cannot be kept now; it stays at the server", Ru: "письмо сейчас не сохранить; оно остаётся на сервере", Err: err}
	}
	k := markOf(headerOf(l.raw))
	if b.failed[uid].times >= maxTries-1 { // the connection may be lost at each marking: it would be told for ever
		if err := b.done(m, uid, k); err != nil {
			return err
		}
	}
	var no *imap.Error
	if err := c.mark(uid, b.After, b.MoveTo); errors.As(err, &no) {
		b.Log.Error().Str("source", b.Source).Uint32("uid", uid).Str("after", b.After).Msg("the server refuses to mark a mail that was read")
	} else if err != nil {
		return err
	}
	return b.done(m, uid, k)
}

// done remembers a message as read. Those before it that fail are put off: it would hide them.
func (b *Mailbox) done(m *memory, uid uint32, k mark) error {
	for other, t := range b.failed {
		if other < uid && other > m.uid && t.times >= maxTries && !m.off[other] {
			if err := b.kept(m.putOff(other)); err != nil {
				return err
			}
			t.again = time.Time{} // once more at once: all may be well again
			b.failed[other] = t
		}
	}
	return b.kept(m.done(uid, b.now(), k))
}

// gone is a message that a person has moved or deleted.
func (b *Mailbox) gone(m *memory, uid uint32) error {
	if m.off[uid] {
		return b.done(m, uid, mark{})
	}
	return nil
}

// old is whether a message that was there when we began is none of ours to read: it arrived long before, or has been read under
// another number.
func (b *Mailbox) old(m *memory, l *fetched) bool {
	h := headerOf(l.raw)
	_, known := m.marks[markOf(h)]
	from := b.from(m)
	if known || !l.at.IsZero() && l.at.Before(from) {
		return true
	}
	// A move to another server may have given all messages the day of the move; what their last server wrote goes with them.
	// The sender's clock is not asked.
	last := h.Get("Received")
	at, err := netmail.ParseDate(strings.TrimSpace(last[strings.LastIndex(last, ";")+1:]))
	return err == nil && at.Before(from.Add(-48*time.Hour))
}

func headerOf(raw []byte) message.Header {
	head, _ := split(raw)
	h, err := textproto.ReadHeader(newReader(head))
	if err != nil {
		return message.Header{}
	}
	return message.Header{Header: h}
}

// markOf is the mark of a message; one without Message-ID is known by what the servers on its way wrote, if anything.
func markOf(h message.Header) (k mark) {
	id := cmp.Or(h.Get("Message-Id"), strings.Join(h.Values("Received"), "\x00"))
	if id == "" {
		return k
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{id, h.Get("Date"), h.Get("From"), h.Get("Subject")}, "\x00")))
	copy(k[:], sum[:])
	return k
}

// conversation is one connection to a server. Every call of it ends in time, and at once when ctx ends.
type conversation struct {
	*imapclient.Client
	raw   net.Conn
	limit time.Duration
	stop  func() bool
	late  atomic.Bool
	news  chan struct{}
	deaf  bool // the server refuses IDLE

	getting sync.Mutex // held while got is written
	got     fetched
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
		// What the server says of a message for the second time during a FETCH comes here. The lock is taken before the literal
		// is read, and so before the FETCH ends.
		Fetch: func(msg *imapclient.FetchMessageData) { _ = c.take(msg) },
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

// search are the numbers of messages from first to last (0: the last there is) that arrived on that day or later, ascending;
// the zero day is any.
func (c *conversation) search(first, last uint32, day time.Time) (uids []uint32, err error) {
	var set imap.UIDSet
	set.AddRange(imap.UID(first), imap.UID(last))
	if !day.IsZero() {
		day = day.AddDate(0, 0, -1) // the server's day is of a zone that we do not know
	}
	err = c.call("search", c.limit, func() error {
		data, err := c.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{set}, Since: day}, nil).Wait()
		if err != nil {
			return err
		}
		for _, uid := range data.AllUIDs() {
			if uint32(uid) >= first && (last == 0 || uint32(uid) <= last) { // the last one is always within n:*
				uids = append(uids, uint32(uid))
			}
		}
		return nil
	})
	slices.Sort(uids)
	return uids, err
}

// What is fetched of a message; nothing marks it as seen.
var (
	wholeMail  = imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Size: Most + 1}}
	mailHeader = imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Size: 1 << 20}, Specifier: imap.PartSpecifierHeader}
)

// fetched is a message as the server gives it.
type fetched struct {
	uid uint32
	at  time.Time // when it arrived; zero: not asked, or not known
	raw []byte
}

// errNoMessage says that the server has a message and does not give it.
var errNoMessage = errors.New("no message")

// fetch gets a message, or its header; nil when it is no longer there. Its date is asked where it is needed only: go-imap gives
// up the connection over one that it cannot read.
func (c *conversation) fetch(uid uint32, what *imap.FetchItemBodySection, date bool) (*fetched, error) {
	c.getting.Lock()
	c.got = fetched{uid: uid}
	c.getting.Unlock()
	limit := c.limit + 5*time.Minute // for 25 MB over a slow line
	err := c.call("fetch", limit, func() error {
		cmd := c.Fetch(imap.UIDSetNum(imap.UID(uid)), &imap.FetchOptions{UID: true, InternalDate: date, BodySection: []*imap.FetchItemBodySection{what}})
		for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
			if err := c.take(msg); err != nil {
				return err // the connection has ended in the middle: cmd.Close would read on beside go-imap's own reader
			}
		}
		return cmd.Close()
	})
	if err != nil {
		return nil, err
	}
	c.getting.Lock()
	defer c.getting.Unlock()
	if len(c.got.raw) > 0 {
		l := c.got
		return &l, nil
	}
	// Whether it is gone only a search says: servers answer OK also when they cannot read it.
	if there, err := c.search(uid, uid, time.Time{}); err != nil || len(there) == 0 {
		return nil, err
	}
	return nil, fault("fetch", errNoMessage)
}

// take adds what a response says of the message that is being fetched.
func (c *conversation) take(msg *imapclient.FetchMessageData) error {
	c.getting.Lock()
	defer c.getting.Unlock()
	var id imap.UID
	for item := msg.Next(); item != nil; item = msg.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			id = item.UID
		case imapclient.FetchItemDataInternalDate:
			if uint32(id) == c.got.uid {
				c.got.at = item.Time
			}
		case imapclient.FetchItemDataBodySection:
			if item.Literal == nil || uint32(id) != c.got.uid {
				continue
			}
			var all bytes.Buffer
			n, err := io.Copy(&all, io.LimitReader(item.Literal, Most+1))
			if err == nil && n < min(item.Literal.Size(), Most+1) {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return err
			}
			c.got.raw = all.Bytes()
		}
	}
	return nil
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
	if c.deaf || !c.Caps().Has(imap.CapIdle) {
		timer.Reset(every)
		if err := pause(); err != nil {
			return err
		}
		return c.call("noop", c.limit, func() error { return c.Noop().Wait() })
	}
	var idle *imapclient.IdleCommand
	var no *imap.Error
	err := c.call("idle", c.limit, func() (err error) { idle, err = c.Idle(); return err })
	if errors.As(err, &no) {
		c.deaf = true
		return c.wait(ctx, every)
	}
	if err != nil {
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
