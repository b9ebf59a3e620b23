package records

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib" // and the driver "pgx"
	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"leadstream/streams/outbound"
)

// Store is the records. It opens them when they are first asked for: a daemon whose records cannot be opened takes leads
// all the same.
type Store struct {
	dialect
	dsn     string
	path    string // of SQLite's file; empty: PostgreSQL
	keep    time.Duration
	region  string // of phones that are looked for
	now     func() time.Time
	timeout time.Duration // of a transaction
	onFirst func(outbound.First)
	writing chan struct{} // holds one: one writer at a time, the database would let one of two wait anyway

	mu    sync.Mutex
	db    *sql.DB // nil: not open
	file  os.FileInfo
	stmts map[string]*sql.Stmt
}

func newStore(s Settings, dir string) (*Store, error) {
	store := &Store{dialect: sqliteDialect, keep: s.History, now: time.Now, timeout: 30 * time.Second, writing: make(chan struct{}, 1)}
	switch {
	case s.URL == Embedded:
		store.path = filepath.Join(dir, "records.db")
		store.dsn = sqliteDSN(store.path, "rwc")
	case strings.HasPrefix(s.URL, "postgres://") || strings.HasPrefix(s.URL, "postgresql://"):
		config, err := pgconn.ParseConfig(s.URL)
		if err != nil { // it may quote the URL, and with it the password
			return nil, errors.New("url: is no URL of PostgreSQL; write postgres://user:password@host:5432/database, with %-signs for what is neither letter nor digit")
		}
		u, err := url.Parse(s.URL)
		if err != nil {
			return nil, errors.New("url: is no URL; write postgres://user:password@host:5432/database")
		}
		if config.ConnectTimeout == 0 {
			q := u.Query()
			q.Set("connect_timeout", "5")
			u.RawQuery = q.Encode()
		}
		store.dialect, store.dsn = postgresDialect, u.String()
	default:
		return nil, errors.New("url: is neither embedded, off nor an URL of PostgreSQL; write embedded or postgres://user:password@host:5432/database")
	}
	return store, nil
}

// sqliteDSN opens the file with a log beside it, so that readers do not stop the writer. Every commit reaches the disk
// (synchronous FULL): the queue forgets a lead once it is written here, and with NORMAL a power cut would take back the
// last commits. It costs one fsync a batch.
func sqliteDSN(path, mode string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?mode=" + mode + "&_txlock=immediate&_pragma=busy_timeout(5000)" +
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-32000)&_pragma=wal_autocheckpoint(4000)"
}

// open answers the database, opening it when that has not been done.
func (s *Store) open(ctx context.Context) (*sql.DB, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != nil && s.path != "" {
		// What is written to a file that was removed or replaced is lost.
		if now, err := os.Stat(s.path); err != nil || !os.SameFile(now, s.file) {
			s.close()
		}
	}
	if s.db != nil {
		return s.db, nil
	}
	if s.path != "" {
		f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite would let the group read it
		if err != nil {
			return nil, s.explain(err)
		}
		if s.file, err = f.Stat(); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	db, err := sql.Open(s.driver, s.dsn)
	if err != nil {
		return nil, s.explain(err)
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	tx, err := db.BeginTx(ctx, nil)
	if err == nil {
		err = s.migrate(ctx, tx)
		if err == nil {
			err = tx.Commit()
		} else {
			_ = tx.Rollback() // the first error says it
		}
	}
	if err != nil {
		_ = db.Close()
		return nil, s.explain(err)
	}
	s.db, s.stmts = db, map[string]*sql.Stmt{}
	return db, nil
}

// Close closes the records; they open again when they are asked for.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.close()
}

func (s *Store) close() error {
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db, s.stmts = nil, nil
	return err
}

// check opens the records without creating or changing anything.
func (s *Store) check(ctx context.Context) error {
	dsn := s.dsn
	if s.path != "" {
		if _, err := os.Stat(s.path); errors.Is(err, fs.ErrNotExist) {
			return s.checkFolder()
		}
		if err := unix.Access(s.path, unix.W_OK); err != nil {
			return s.explain(fmt.Errorf("%s: %w", s.path, err))
		}
		dsn = sqliteDSN(s.path, "rw")
	}
	db, err := sql.Open(s.driver, dsn)
	if err != nil {
		return s.explain(err)
	}
	defer db.Close()
	if s.path == "" { // what the migration needs
		var may bool
		if err := db.QueryRowContext(ctx, "SELECT has_schema_privilege(current_schema(), 'CREATE')").Scan(&may); err != nil {
			return s.explain(err)
		}
		if !may {
			return errors.New("url: this user may not create tables; GRANT CREATE ON SCHEMA public TO it")
		}
	}
	_, err = s.version(ctx, db)
	return s.explain(err)
}

// checkFolder says whether the file can be made, in the nearest folder above it that exists.
func (s *Store) checkFolder() error {
	dir := filepath.Dir(s.path)
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	if err := unix.Access(dir, unix.W_OK); err != nil {
		return fmt.Errorf("%s cannot be written (%w): give the daemon's user the right", dir, err)
	}
	return nil
}

// explain adds the cure to what the databases say, and leaves out what they quote of people.
func (s *Store) explain(err error) error {
	var lite *sqlite.Error
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &lite):
		return fmt.Errorf("%s: %s", filepath.Base(s.path), sqliteSays(lite))
	case errors.As(err, &pg):
		switch pg.Code {
		case "28P01", "28000":
			return fmt.Errorf("PostgreSQL refuses the user or the password (%s): correct records.url", pg.Code)
		case "3D000":
			return errors.New("PostgreSQL has no such database (3D000): createdb it, or correct records.url")
		case "42501":
			return errors.New("PostgreSQL does not let this user work on the tables (42501): grant it all on the schema, or make it their owner")
		case "53100":
			return errors.New("PostgreSQL's disk is full (53100): free some space there; leads wait meanwhile")
		case "53300":
			return errors.New("PostgreSQL has no connection left (53300): raise max_connections; leads wait meanwhile")
		}
		if isData(pg) {
			return errData{pg.Code}
		}
		return fmt.Errorf("PostgreSQL answers %s (%s); leads wait meanwhile", pg.Message, pg.Code)
	case isNetwork(err):
		return errors.New("PostgreSQL does not answer: start it, or correct records.url; leads wait meanwhile")
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be written: give it to the daemon's user; leads wait meanwhile", filepath.Base(s.path))
	}
	return err
}

func sqliteSays(e *sqlite.Error) string {
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "another program holds it locked: end that program (fuser shows it); leads wait meanwhile"
	case sqlite3.SQLITE_FULL:
		return "the disk is full: free some space; leads wait meanwhile"
	case sqlite3.SQLITE_IOERR:
		return fmt.Sprintf("the disk does not read or write it (%d): look at free space and at the disk; leads wait meanwhile", e.Code())
	case sqlite3.SQLITE_NOTADB:
		return "is no SQLite database: put the right file back, or move it away and the records begin anew; leads wait meanwhile"
	case sqlite3.SQLITE_CORRUPT:
		return "is damaged: stop the daemon and repair it (sqlite3 records.db .recover | sqlite3 new.db), or put a copy back; leads wait meanwhile"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return "cannot be opened for writing: give it and its folder to the daemon's user; leads wait meanwhile"
	}
	return fmt.Sprintf("SQLite answers %d; leads wait meanwhile", e.Code())
}

// isNetwork says that PostgreSQL cannot be reached, or not any more.
func isNetwork(err error) bool {
	var connect *pgconn.ConnectError
	var network *net.OpError
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.Timeout(err)
}

// errData says that the database refuses a row for what it holds. It does not quote it.
type errData struct{ code string }

func (e errData) Error() string { return "the database refuses what the lead holds (" + e.code + ")" }

// isData tells such an error from one of the database itself.
func isData(err error) bool {
	var ours errData
	var pg *pgconn.PgError
	var lite *sqlite.Error
	switch {
	case errors.As(err, &ours):
		return true
	case errors.As(err, &pg): // data exception, integrity violation, too large
		return strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23") || pg.Code == "54000"
	case errors.As(err, &lite):
		code := lite.Code() & 0xff
		return code == sqlite3.SQLITE_CONSTRAINT || code == sqlite3.SQLITE_TOOBIG || code == sqlite3.SQLITE_MISMATCH
	}
	return false
}

// batch is a transaction. Its first error stands, and what comes after it does nothing.
type batch struct {
	ctx   context.Context
	store *Store
	conn  *sql.Conn // that tx is on
	tx    *sql.Tx
	err   error

	firsts []outbound.First // answers, to be told of once they are kept
}

// write does f in one transaction, alone.
func (s *Store) write(ctx context.Context, f func(*batch)) error {
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	if s.path != "" {
		// SQLite cannot be waited for from outside: a context would only cost a goroutine a statement.
		if err := ctx.Err(); err != nil {
			return err
		}
		ctx = context.WithoutCancel(ctx)
	}
	conn, err := db.Conn(ctx)
	var tx *sql.Tx
	if err == nil {
		defer conn.Close()
		tx, err = conn.BeginTx(ctx, nil)
	}
	if err != nil {
		if isNetwork(err) {
			_ = s.Close()
		}
		return s.explain(err)
	}
	b := &batch{ctx: ctx, store: s, conn: conn, tx: tx}
	if s.begin != "" {
		b.exec(s.begin)
	}
	if b.err == nil {
		f(b)
	}
	if b.err == nil {
		b.err = tx.Commit()
	} else {
		_ = tx.Rollback() // the first error says it
	}
	for _, first := range b.firsts {
		if b.err == nil && s.onFirst != nil {
			s.onFirst(first)
		}
	}
	if isNetwork(b.err) { // the other connections are as dead as this one: begin anew
		_ = s.Close()
	}
	if isData(b.err) {
		return errData{codeOf(b.err)}
	}
	return s.explain(b.err)
}

func codeOf(err error) string {
	var ours errData
	var pg *pgconn.PgError
	var lite *sqlite.Error
	switch {
	case errors.As(err, &ours):
		return ours.code
	case errors.As(err, &pg):
		return pg.Code
	case errors.As(err, &lite):
		return fmt.Sprint(lite.Code())
	}
	return ""
}

// stmt is the query made ready, once.
func (b *batch) stmt(query string) *sql.Stmt {
	s := b.store
	s.mu.Lock()
	st, db := s.stmts[query], s.db
	s.mu.Unlock()
	if st == nil && db != nil {
		var err error
		if st, err = db.PrepareContext(b.ctx, query); err != nil {
			b.err = err
			return nil
		}
		s.mu.Lock()
		if s.stmts != nil {
			s.stmts[query] = st
		}
		s.mu.Unlock()
	}
	if st == nil {
		b.err = sql.ErrConnDone
		return nil
	}
	return b.tx.StmtContext(b.ctx, st)
}

// exec runs a statement and answers how many rows it changed.
func (b *batch) exec(query string, args ...any) int64 {
	if b.err != nil {
		return 0
	}
	st := b.stmt(query)
	if b.err != nil {
		return 0
	}
	r, err := st.ExecContext(b.ctx, args...)
	if err != nil {
		b.err = err
		return 0
	}
	n, err := r.RowsAffected()
	if err != nil {
		b.err = err
	}
	return n
}

// get reads one row; false when there is none.
func (b *batch) get(to []any, query string, args ...any) bool {
	if b.err != nil {
		return false
	}
	st := b.stmt(query)
	if b.err != nil {
		return false
	}
	err := st.QueryRowContext(b.ctx, args...).Scan(to...)
	if errors.Is(err, sql.ErrNoRows) {
		return false
	}
	b.err = err
	return err == nil
}

// each reads all rows, through row.
func (b *batch) each(row func(scan func(...any) error) error, query string, args ...any) {
	if b.err != nil {
		return
	}
	st := b.stmt(query)
	if b.err != nil {
		return
	}
	rows, err := st.QueryContext(b.ctx, args...)
	if err != nil {
		b.err = err
		return
	}
	b.err = scan(rows, row)
}

// ask is a statement of a round.
type ask struct {
	row   func(scan func(...any) error) error // reads a row of the answer; nil: there is none
	query string
	args  []any
}

// round runs statements in their order. PostgreSQL may be far away: it gets all of them in one message and answers them in
// one, however many there are.
func (b *batch) round(asks []ask) {
	if b.err != nil || len(asks) == 0 {
		return
	}
	if b.store.path != "" {
		for _, a := range asks {
			if a.row != nil {
				b.each(a.row, a.query, a.args...)
			} else {
				b.exec(a.query, a.args...)
			}
		}
		return
	}
	var pipe pgx.Batch
	for _, a := range asks {
		pipe.Queue(a.query, a.args...)
	}
	err := b.conn.Raw(func(raw any) error {
		answers := raw.(*stdlib.Conn).Conn().SendBatch(b.ctx, &pipe)
		for _, a := range asks {
			if err := answered(answers, a.row); err != nil {
				_ = answers.Close() // it says the same
				return err
			}
		}
		return answers.Close()
	})
	if err != nil {
		b.err = err
	}
}

// answered reads the answer to one statement.
func answered(answers pgx.BatchResults, row func(scan func(...any) error) error) error {
	if row == nil {
		_, err := answers.Exec()
		return err
	}
	rows, err := answers.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func scan(rows *sql.Rows, row func(scan func(...any) error) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// query reads rows outside of a transaction.
func (s *Store) query(ctx context.Context, row func(scan func(...any) error) error, query string, args ...any) error {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return s.explain(err)
	}
	return s.explain(scan(rows, row))
}
