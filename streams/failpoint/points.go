package failpoint

// The moments of a lead's life, in its order. Each says what has just happened; what comes next has not.
const (
	// A daemon starts.

	// StartRead: the journal is read, and nothing of this run is written yet.
	StartRead Point = "start.journal-read"
	// StartLedger: the ledger is rebuilt; nobody is served.
	StartLedger Point = "start.ledger-rebuilt"
	// StartDoors: the listeners are open.
	StartDoors Point = "start.doors-open"
	// StartRedis: the embedded Redis answers, started or adopted.
	StartRedis Point = "start.redis-answers"

	// It takes the partition.

	// LeaseTaken: the lease is ours; what stands in Redis is not compared with the journal.
	LeaseTaken Point = "lease.taken"
	// LeaseRenewed: the lease is ours for longer.
	LeaseRenewed Point = "lease.renewed"
	// EpochSet: Redis has a new epoch that the journal does not know.
	EpochSet Point = "epoch.set"
	// EpochNoted: the journal knows it too; nothing is driven again.
	EpochNoted Point = "epoch.noted"
	// EpochRedriven: the open leads wait to be forwarded again.
	EpochRedriven Point = "epoch.redriven"
	// DeadRestored: one dead letter that Redis had lost is back.
	DeadRestored Point = "dead.restored"
	// TakenOver: what an owner before had in hand is pending under our name.
	TakenOver Point = "takeover.claimed"
	// Owned: every queue is open; nothing is read.
	Owned Point = "partition.owned"

	// A request comes in.

	// IntakeRead: its body is in memory.
	IntakeRead Point = "intake.body-read"
	// IntakeJudged: it has become a lead, which nobody keeps.
	IntakeJudged Point = "intake.judged"
	// CustodyReserved: the ledger has a place for it, in memory.
	CustodyReserved Point = "custody.reserved"
	// JournalEncoded: its record is laid out and not written.
	JournalEncoded Point = "journal.encoded"
	// JournalWritten: it is in the kernel's hands.
	JournalWritten Point = "journal.written"
	// JournalSynced: it is on the disk, and whoever waits has not been told.
	JournalSynced Point = "journal.synced"
	// JournalTold: those who waited go on.
	JournalTold Point = "journal.told"
	// CustodyKept: it is on the disk, and nobody will forward it.
	CustodyKept Point = "custody.kept"
	// IntakeKept: it will be forwarded, and the sender has no answer.
	IntakeKept Point = "intake.kept"
	// IntakeAnswered: the answer is written, and perhaps not sent.
	IntakeAnswered Point = "intake.answered"

	// The journal's files change.

	// SegmentCreated: a new file has its space and no name.
	SegmentCreated Point = "segment.created"
	// SegmentRenamed: a file has its name, in a folder that is not synced.
	SegmentRenamed Point = "segment.renamed"
	// SegmentStarted: the folder is synced; nothing is written to the segment.
	SegmentStarted Point = "segment.started"
	// SpareMade: the next segment's file has its space and no name.
	SpareMade Point = "spare.made"
	// SpareReady: it is the spare.
	SpareReady Point = "spare.ready"
	// SegmentSealed: the last record of a segment is written; its unused space is still there.
	SegmentSealed Point = "segment.sealed"
	// SegmentTrimmed: the space is given back.
	SegmentTrimmed Point = "segment.trimmed"
	// LeadCarried: a lead that outlives its segment is written again, and the old record still counts.
	LeadCarried Point = "lead.carried"
	// SegmentDropped: a segment that nothing needs is deleted, in a folder that is not synced.
	SegmentDropped Point = "segment.dropped"

	// The journal is indexed.

	// IndexArchived: the leads that have ended have a file, of which no snapshot knows.
	IndexArchived Point = "index.archived"
	// IndexSaved: there is a new snapshot; the one before is still there.
	IndexSaved Point = "index.saved"

	// The lead goes to Redis.

	// ForwardBegun: a batch is about to be sent.
	ForwardBegun Point = "forward.begun"
	// ForwardAdded: Redis has it, and we have not noticed.
	ForwardAdded Point = "forward.added"
	// ForwardNoted: the ledger knows that Redis has it; the batch still stands first in line.
	ForwardNoted Point = "forward.noted"

	// A processor judges it.

	// QueueRead: entries are handed to us, and only our memory knows.
	QueueRead Point = "queue.read"
	// JudgeBegun: a processor is about to see a batch.
	JudgeBegun Point = "judge.begun"
	// ContactClaimed: the customer's contacts lead to this lead.
	ContactClaimed Point = "judge.contact-claimed"
	// JudgeAnswered: the processor has said what follows.
	JudgeAnswered Point = "judge.answered"
	// JudgeDecided: what becomes of each lead is clear, in memory.
	JudgeDecided Point = "judge.decided"
	// JudgeNoted: where the lead goes is in the journal.
	JudgeNoted Point = "judge.noted"
	// JudgeSettled: it is handed over to the next queue.
	JudgeSettled Point = "judge.settled"

	// A sink delivers it.

	// CallBegun: a delivery is about to be tried.
	CallBegun Point = "call.begun"
	// CallIntended: the journal says that the sink is about to be called.
	CallIntended Point = "call.intended"
	// BitrixLooked: cards of an earlier try were looked for.
	BitrixLooked Point = "bitrix24.looked"
	// BitrixAttached: repeats have their comments.
	BitrixAttached Point = "bitrix24.attached"
	// BitrixContacted: deals have their contacts.
	BitrixContacted Point = "bitrix24.contacted"
	// BitrixAnswered: the portal has answered one request, and nobody has read what.
	BitrixAnswered Point = "bitrix24.answered"
	// BitrixCreated: cards are made, without what hangs on them.
	BitrixCreated Point = "bitrix24.card-made"
	// BitrixCompleted: everything is at the portal.
	BitrixCompleted Point = "bitrix24.completed"
	// CallAnswered: the sink has answered, and only our memory knows.
	CallAnswered Point = "call.answered"
	// CallDecided: it is clear what becomes of the lead, in memory.
	CallDecided Point = "call.decided"
	// CallNoted: the journal knows; Redis still holds the entry.
	CallNoted Point = "call.noted"
	// CallSettled: the entry is gone from its queue.
	CallSettled Point = "call.settled"

	// It must wait.

	// Parked: an entry waits for its retry, and only Redis knows until when.
	Parked Point = "retry.parked"
	// DueClaimed: one that has waited out its delay is ours again.
	DueClaimed Point = "retry.claimed"
	// WaiterParked: an entry waits behind another of its customer.
	WaiterParked Point = "order.parked"
	// WaiterTaken: its turn has come.
	WaiterTaken Point = "order.taken"

	// It does not get through.

	// DeadNoted: the journal knows that it is dead; Redis has no dead letter.
	DeadNoted Point = "dead.noted"
	// DeadSettled: the dead letter is there; no person has been told.
	DeadSettled Point = "dead.settled"
	// ToldRow: it is in the file for handling by hand.
	ToldRow Point = "tell.row-written"
	// ToldSent: a person has the message, and the journal does not know.
	ToldSent Point = "tell.sent"
	// ToldNoted: the journal knows that a person was told.
	ToldNoted Point = "tell.noted"
	// ReplayNoted: a dead letter is open again by the journal, and still dead in Redis.
	ReplayNoted Point = "replay.noted"
	// ReplayMoved: it is back in its queue.
	ReplayMoved Point = "replay.moved"

	// Redis has lost it.

	// ReconcileLooked: ledger and queues are compared, and something is missing.
	ReconcileLooked Point = "reconcile.looked"
	// ReconcileRedriven: it waits to be forwarded again.
	ReconcileRedriven Point = "reconcile.redriven"

	// Another daemon has delivered it.

	// HomeNoted: what the other did is in our journal, and still in Redis.
	HomeNoted Point = "home.noted"

	// The daemon stops.

	// StopHandedBack: what was in hand and never tried is back in its queue.
	StopHandedBack Point = "stop.handed-back"
	// StopEnded: the last call has ended.
	StopEnded Point = "stop.ended"
	// StopReleased: the lease is given back.
	StopReleased Point = "stop.released"
	// StopRedis: the embedded Redis has ended.
	StopRedis Point = "stop.redis-ended"
)

// Points is all of them.
var Points = []Point{
	StartRead, StartLedger, StartDoors, StartRedis,
	LeaseTaken, LeaseRenewed, EpochSet, EpochNoted, EpochRedriven, DeadRestored, TakenOver, Owned,
	IntakeRead, IntakeJudged, CustodyReserved, JournalEncoded, JournalWritten, JournalSynced, JournalTold, CustodyKept, IntakeKept, IntakeAnswered,
	SegmentCreated, SegmentRenamed, SegmentStarted, SpareMade, SpareReady, SegmentSealed, SegmentTrimmed, LeadCarried, SegmentDropped,
	IndexArchived, IndexSaved,
	ForwardBegun, ForwardAdded, ForwardNoted,
	QueueRead, JudgeBegun, ContactClaimed, JudgeAnswered, JudgeDecided, JudgeNoted, JudgeSettled,
	CallBegun, CallIntended, BitrixLooked, BitrixAttached, BitrixContacted, BitrixAnswered, BitrixCreated, BitrixCompleted,
	CallAnswered, CallDecided, CallNoted, CallSettled,
	Parked, DueClaimed, WaiterParked, WaiterTaken,
	DeadNoted, DeadSettled, ToldRow, ToldSent, ToldNoted, ReplayNoted, ReplayMoved,
	ReconcileLooked, ReconcileRedriven, HomeNoted,
	StopHandedBack, StopEnded, StopReleased, StopRedis,
}

// The waits that a proof cannot sit out.
const (
	TidyEvery      Wait = "tidy-every"      // between two looks for segments that nothing needs
	TidyAge        Wait = "tidy-age"        // after which an ended lead is forgotten
	ReconcileAfter Wait = "reconcile-after" // that a lead may be nowhere to be seen, and between two looks
)
