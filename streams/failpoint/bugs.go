package failpoint

// The mistakes that can be seeded. Each is one line of the program, and each is found by a scenario of the harness: a
// harness that finds none of them would say nothing by finding nothing.
const (
	// In the journal.

	// AnswerBeforeSync tells the sender that a lead is safe before the disk has it.
	AnswerBeforeSync Bug = "answer-before-sync"
	// SyncAgain repeats a failed fsync and believes the second one, which Linux answers with success.
	SyncAgain Bug = "sync-again"
	// CutAtDamage ends the reading of a segment at the first record that is not whole.
	CutAtDamage Bug = "cut-at-damage"
	// OpenDropped lets a segment go at the end of its time without carrying on the leads in it that are still open.
	OpenDropped Bug = "open-dropped"

	// Between the journal and Redis.

	// ResendBlindly lets the Redis client repeat a command without an answer, and the script add what is there.
	ResendBlindly Bug = "resend-blindly"
	// RefusalBelieved takes leads that Redis refused for leads that it has.
	RefusalBelieved Bug = "refusal-believed"
	// KeysForgotten does not know the senders' keys of before the start.
	KeysForgotten Bug = "keys-forgotten"

	// In Redis.

	// EpochIgnored takes a Redis restored from an old copy for the one that was left.
	EpochIgnored Bug = "epoch-ignored"
	// DeletedIgnored overlooks the entries that XAUTOCLAIM reports as deleted.
	DeletedIgnored Bug = "deleted-ignored"
	// ReconcileOff never compares the ledger with the queues.
	ReconcileOff Bug = "reconcile-off"
	// ChecksumIgnored believes an entry whose bytes have changed in Redis.
	ChecksumIgnored Bug = "checksum-ignored"
	// LeaseIgnored goes on delivering after the lease of the queues has ended.
	LeaseIgnored Bug = "lease-ignored"

	// Around the call of a sink.

	// DoneBeforeCall journals and believes a delivery before the sink is called.
	DoneBeforeCall Bug = "done-before-call"
	// IntentUnwritten calls a sink without journaling that it is about to.
	IntentUnwritten Bug = "intent-unwritten"
	// IntentForgotten does not read from the journal that a sink was being called.
	IntentForgotten Bug = "intent-forgotten"
	// DoneUnwritten settles a delivery in Redis without journaling it.
	DoneUnwritten Bug = "done-unwritten"
	// OrderIgnored lets a customer's next lead overtake the one that waits for its retry.
	OrderIgnored Bug = "order-ignored"
	// OneLine lets a lead that is retried hold up those of all customers.
	OneLine Bug = "one-line"

	// In the judgement of an answer.

	// SentUnnoticed takes a connection that broke after the request was written for a request that was not sent.
	SentUnnoticed Bug = "sent-unnoticed"
	// CreateRepeated has the HTTP client repeat creates as it repeats reads.
	CreateRepeated Bug = "create-repeated"
	// AnySuccess takes whatever comes with a 2xx for success.
	AnySuccess Bug = "any-success"
	// NoLook creates again after an unclear try without looking for what that try has made.
	NoLook Bug = "no-look"
	// LooksTooSoon looks while the far side may still be at work on the last try.
	LooksTooSoon Bug = "looks-too-soon"
	// JitterBelow spreads a delay to below the far side's Retry-After.
	JitterBelow Bug = "jitter-below"
	// DateIgnored reads a Retry-After of seconds only.
	DateIgnored Bug = "date-ignored"
	// UnauthorizedDies makes a dead letter of each lead that meets a removed key, instead of a pause.
	UnauthorizedDies Bug = "unauthorized-dies"

	// At the end of a lead's life.

	// GivesUpSilently drops a lead after its last attempt, without a dead letter.
	GivesUpSilently Bug = "gives-up-silently"
	// DeadForgotten does not bring back the dead letters that Redis has lost.
	DeadForgotten Bug = "dead-forgotten"
	// LateUntold tells nobody of a lead that waits for too long.
	LateUntold Bug = "late-untold"
	// SecretShown writes the address of a call, with its secret, into errors and so into the log.
	SecretShown Bug = "secret-shown"
)
