package records

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// migrations bring the records from one version to the next; the number of the last one is the version. What was
// released is never changed, only added to. Times are milliseconds since 1970. {id}, {blob} and {plain} are the dialect's.
var migrations = []string{`
CREATE TABLE customers (
	id       {id},
	name     TEXT NOT NULL DEFAULT '',
	name_key TEXT NOT NULL DEFAULT '', -- in small letters, to be found by
	source   TEXT NOT NULL DEFAULT '', -- of the first contact, and never changed (IN-09)
	channel  TEXT NOT NULL DEFAULT '', -- of the first contact
	first_at BIGINT NOT NULL,
	last_at  BIGINT NOT NULL,
	contacts BIGINT NOT NULL DEFAULT 0, -- what came of the customer (IN-10)
	orders   BIGINT NOT NULL DEFAULT 0,
	order_at BIGINT NOT NULL DEFAULT 0  -- the last one; 0: none
);
CREATE TABLE identities (
	kind     TEXT NOT NULL, -- phone, email, or user and chat with a value of channel:id
	value    TEXT NOT NULL,
	customer BIGINT NOT NULL,
	since    BIGINT NOT NULL,
	PRIMARY KEY (kind, value)
){plain};
CREATE INDEX identities_customer ON identities (customer);
CREATE TABLE merges (
	gone BIGINT PRIMARY KEY, -- the younger card, which is no more
	kept BIGINT NOT NULL,
	at   BIGINT NOT NULL,
	lead TEXT NOT NULL,      -- that named both
	by   TEXT NOT NULL       -- the two identities, such as phone+email
);
CREATE INDEX merges_kept ON merges (kept);
CREATE TABLE preferences (
	customer BIGINT NOT NULL,
	kind     TEXT NOT NULL, -- service, branch, language, time, writes
	value    TEXT NOT NULL,
	times    BIGINT NOT NULL,
	last_at  BIGINT NOT NULL,
	PRIMARY KEY (customer, kind, value)
){plain};
CREATE TABLE conversations (
	id       {id},
	customer BIGINT NOT NULL,
	channel  TEXT NOT NULL,
	messages BIGINT NOT NULL DEFAULT 0, -- their number, and that of the last one
	closed   BIGINT NOT NULL DEFAULT 0, -- the number of the last one in a chunk
	bytes    BIGINT NOT NULL DEFAULT 0, -- of those behind it
	last_at  BIGINT NOT NULL            -- when the last one was written here
);
CREATE INDEX conversations_customer ON conversations (customer, channel);
CREATE INDEX conversations_open ON conversations (last_at) WHERE messages > closed;
CREATE TABLE tail ( -- the end of each conversation, a row a message
	conversation BIGINT NOT NULL,
	n            BIGINT NOT NULL,
	body         {blob} NOT NULL, -- JSON of a Message
	PRIMARY KEY (conversation, n)
){plain};
CREATE TABLE chunks ( -- what is before it: many messages compressed together (C-17)
	conversation BIGINT NOT NULL,
	n            BIGINT NOT NULL, -- of the last message
	closed_at    BIGINT NOT NULL,
	body         {blob} NOT NULL, -- gzip of JSON lines
	PRIMARY KEY (conversation, n)
);
CREATE INDEX chunks_closed ON chunks (closed_at);
CREATE TABLE leads ( -- which leads are written, and where: sending one again changes nothing
	lead         TEXT PRIMARY KEY,
	conversation BIGINT NOT NULL
){plain};
CREATE TABLE consents ( -- only ever added to
	id       {id},
	customer BIGINT NOT NULL,
	key      TEXT NOT NULL UNIQUE,
	at       BIGINT NOT NULL,
	purpose  TEXT NOT NULL,
	channel  TEXT NOT NULL,
	given    BIGINT NOT NULL, -- 1, or 0: taken back
	how      TEXT NOT NULL,
	wording  TEXT NOT NULL,
	message  TEXT NOT NULL
);
CREATE INDEX consents_customer ON consents (customer);
CREATE TABLE bookings (
	id       TEXT PRIMARY KEY,
	customer BIGINT NOT NULL,
	version  BIGINT NOT NULL,
	status   TEXT NOT NULL,
	service  TEXT NOT NULL,
	branch   TEXT NOT NULL,
	start_at BIGINT NOT NULL,
	end_at   BIGINT NOT NULL,
	lead     TEXT NOT NULL,
	made_at  BIGINT NOT NULL,
	changed_at BIGINT NOT NULL
);
CREATE INDEX bookings_customer ON bookings (customer);
CREATE INDEX bookings_start ON bookings (start_at);
`, `
ALTER TABLE bookings ADD COLUMN master TEXT NOT NULL DEFAULT '';
ALTER TABLE bookings ADD COLUMN placed BIGINT NOT NULL DEFAULT 0; -- 1: in a calendar outside
CREATE TABLE messages ( -- to customers: outbound.Message
	id       TEXT PRIMARY KEY,
	customer BIGINT NOT NULL,
	cause    TEXT NOT NULL,
	purpose  TEXT NOT NULL,
	template TEXT NOT NULL,
	language TEXT NOT NULL,
	vals     TEXT NOT NULL, -- JSON
	buttons  TEXT NOT NULL, -- JSON
	topic    TEXT NOT NULL,
	about    TEXT NOT NULL,
	channel  TEXT NOT NULL,
	booking  TEXT NOT NULL,
	version  BIGINT NOT NULL,
	ends     BIGINT NOT NULL, -- with it nobody has to answer any more
	made_at  BIGINT NOT NULL,
	due_at   BIGINT NOT NULL,
	deadline BIGINT NOT NULL,
	state    TEXT NOT NULL,
	reason   TEXT NOT NULL
);
CREATE INDEX messages_customer ON messages (customer, made_at);
CREATE INDEX messages_due ON messages (due_at) WHERE state IN ('waiting', 'sending');
CREATE INDEX messages_about ON messages (about);
CREATE INDEX messages_booking ON messages (booking) WHERE booking <> '';
CREATE TABLE steps ( -- outbound.Step
	message  TEXT NOT NULL,
	n        BIGINT NOT NULL,
	customer BIGINT NOT NULL,
	channel  TEXT NOT NULL,
	address  TEXT NOT NULL,
	state    TEXT NOT NULL,
	tries    BIGINT NOT NULL,
	remote   TEXT NOT NULL,
	code     TEXT NOT NULL,
	content  TEXT NOT NULL,
	approved BIGINT NOT NULL,
	at       BIGINT NOT NULL,
	sent_at  BIGINT NOT NULL, -- 0: not taken by the channel
	PRIMARY KEY (message, n)
);
CREATE INDEX steps_remote ON steps (channel, remote) WHERE remote <> '';
CREATE INDEX steps_sent ON steps (channel, sent_at);
CREATE INDEX steps_customer ON steps (customer, sent_at);
CREATE TABLE rulings ( -- why a message was held back, dropped or sent another way: only ever added to
	id      {id},
	message TEXT NOT NULL,
	at      BIGINT NOT NULL,
	channel TEXT NOT NULL,
	ruling  TEXT NOT NULL, -- wait, drop, next, send, state
	reason  TEXT NOT NULL,
	until   BIGINT NOT NULL
);
CREATE INDEX rulings_message ON rulings (message);
CREATE TABLE routes ( -- where a customer can be written to, besides what stands in identities
	channel  TEXT NOT NULL,
	address  TEXT NOT NULL,
	customer BIGINT NOT NULL,
	heard_at BIGINT NOT NULL, -- the customer's last word there; 0: none
	dead_at  BIGINT NOT NULL, -- 0: it works
	code     TEXT NOT NULL,   -- why it does not
	PRIMARY KEY (channel, address)
);
CREATE INDEX routes_customer ON routes (customer);
CREATE TABLE heard ( -- leads of which the messenger has drawn its conclusions
	lead TEXT PRIMARY KEY,
	at   BIGINT NOT NULL
){plain};
CREATE INDEX heard_at ON heard (at);
CREATE TABLE talks ( -- where the conversation with a customer stands
	customer BIGINT PRIMARY KEY,
	state    TEXT NOT NULL, -- JSON
	until    BIGINT NOT NULL, -- automation keeps silent until then: a person has stepped in (L-05)
	changed_at BIGINT NOT NULL
);
CREATE TABLE unanswered ( -- waits of customers and their first answer (P-03)
	lead     TEXT PRIMARY KEY, -- the enquiry with which it began
	customer BIGINT NOT NULL,
	channel  TEXT NOT NULL,
	hot      BIGINT NOT NULL,
	worth    BIGINT NOT NULL, -- money at stake; 0: not known
	asked_at BIGINT NOT NULL,  -- when that was taken,
	wrote_at BIGINT NOT NULL,  -- and written by the clock of its service
	last_at  BIGINT NOT NULL,  -- the same of the customer's last enquiry of this wait
	last_wrote BIGINT NOT NULL,
	since_at BIGINT NOT NULL,  -- from when on a person is waited for
	first_at BIGINT NOT NULL, -- the first answer of anybody, programs too; 0: none
	first_by TEXT NOT NULL,   -- program, dialogue, person
	by       TEXT NOT NULL,   -- who has seen to it for good: person, dialogue; empty: nobody
	ended_at BIGINT NOT NULL  -- 0: it goes on
);
CREATE INDEX unanswered_customer ON unanswered (customer) WHERE ended_at = 0;
CREATE INDEX unanswered_open ON unanswered (hot, since_at) WHERE ended_at = 0;
CREATE INDEX unanswered_asked ON unanswered (asked_at);
CREATE TABLE spoke ( -- when a person has last answered a customer
	customer BIGINT PRIMARY KEY,
	at       BIGINT NOT NULL
);
CREATE TABLE runs ( -- customers on their way through a sequence
	sequence TEXT NOT NULL,
	customer BIGINT NOT NULL,
	cause    TEXT NOT NULL, -- the lead that began it
	variant  TEXT NOT NULL,
	step     BIGINT NOT NULL, -- the next one
	due_at   BIGINT NOT NULL,
	state    TEXT NOT NULL,   -- on, done, stopped, won
	reason   TEXT NOT NULL,
	vals     TEXT NOT NULL,   -- JSON
	last     TEXT NOT NULL,   -- its latest message
	begun_at BIGINT NOT NULL,
	moved_at BIGINT NOT NULL, -- when its latest step was taken
	ended_at BIGINT NOT NULL,
	PRIMARY KEY (sequence, customer, cause)
);
CREATE INDEX runs_customer ON runs (customer);
CREATE INDEX runs_due ON runs (due_at) WHERE state = 'on';
`}

// dialect is all in which the two databases differ.
type dialect struct {
	driver string
	words  *strings.Replacer // of the schema
	begin  string            // first statement of a transaction that writes: one writer at a time; empty: BEGIN sees to it
	exists string            // how many tables of a name there are
}

var (
	sqliteDialect = dialect{
		driver: "sqlite",
		words:  strings.NewReplacer("{id}", "INTEGER PRIMARY KEY AUTOINCREMENT", "{blob}", "BLOB", "{plain}", " WITHOUT ROWID"),
		exists: "SELECT count(*) FROM sqlite_master WHERE name = $1",
	}
	postgresDialect = dialect{
		driver: "pgx",
		words:  strings.NewReplacer("{id}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "{blob}", "BYTEA", "{plain}", ""),
		begin:  "SELECT pg_advisory_xact_lock(7341022)", // any number, as long as nobody else takes it
		exists: "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1",
	}
)

// errNewer says that the records were written by a later leadstream.
type errNewer struct{ is int }

func (e errNewer) Error() string {
	return fmt.Sprintf("the records are of a newer leadstream (schema %d, this one knows %d): start that one; leads wait meanwhile", e.is, len(migrations))
}

// version is that of the schema; 0: there is none yet.
func (d dialect) version(ctx context.Context, q querier) (v int, err error) {
	var n int
	if err := q.QueryRowContext(ctx, d.exists, "records_version").Scan(&n); err != nil || n == 0 {
		return 0, err
	}
	err = q.QueryRowContext(ctx, "SELECT max(version) FROM records_version").Scan(&v)
	if err == nil && v > len(migrations) {
		err = errNewer{v}
	}
	return v, err
}

// migrate brings the schema to this program's version, in one transaction.
func (d dialect) migrate(ctx context.Context, tx *sql.Tx) error {
	if d.begin != "" {
		if _, err := tx.ExecContext(ctx, d.begin); err != nil {
			return err
		}
	}
	v, err := d.version(ctx, tx)
	if err != nil || v == len(migrations) {
		return err
	}
	if v == 0 {
		if _, err := tx.ExecContext(ctx, "CREATE TABLE records_version (version BIGINT NOT NULL)"); err != nil {
			return err
		}
	}
	for i, text := range migrations[v:] {
		if _, err := tx.ExecContext(ctx, d.words.Replace(text)); err != nil {
			return fmt.Errorf("schema %d: %w", v+i+1, err)
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO records_version (version) VALUES ($1)", v+i+1); err != nil {
			return err
		}
	}
	return nil
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}
