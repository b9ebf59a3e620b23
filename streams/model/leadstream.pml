/*
 * The protocol by which a lead moves, for spin. scripts/model checks it exhaustively; each guard can be taken out by a
 * macro (the #ifdefs below), and then spin must find how a lead is lost or created twice.
 *
 * What is modelled: two daemons with a journal each, one Redis, one searchable sink.
 *   take.go       journal, then 2xx
 *   forward.go    the backlog; append.lua: idempotency key and entry in one step
 *   partition.go  lease.lua, epoch.lua; renew, follow, the owner's loop, outcomes that come home
 *   reclaim.go    what another had in hand is taken over (claim.lua); parked entries come back
 *   handle.go     intent, look, create, outcome; settle.lua: hand over, park, finish
 *   redrive.go    what Redis has lost is forwarded again; reconcile
 * Each step is one write to a disk, one script or command in Redis, or one request to the sink. Between any two of them
 * a daemon may stall for as long as it likes, or die.
 *
 * What is left out: the order of a customer's leads, several destinations, dead letters, the expiry of idempotency keys,
 * damage to a disk. Time is modelled by its order alone: a lease is over by its owner's clock before it is over in
 * Redis; a request is on the wire before the deadline of its call; and a look (after far_limit and index_lag) comes
 * after the deadline of every call that began before the doubt.
 */

#ifndef LEADS
#define LEADS 1
#endif
#ifndef SLOTS
#define SLOTS 4           /* entries that a run may add; like ids, none is used twice */
#endif
#ifndef FAULTS
#define FAULTS 3          /* in all; of each kind: */
#endif
#ifndef CRASHES
#define CRASHES 2         /* of a daemon */
#endif
#ifndef EXPIRIES
#define EXPIRIES 2        /* leases that end under a stalled owner */
#endif
#ifndef LOSSES
#define LOSSES 1          /* Redis flushed, or started again: with all, with nothing, with an old copy */
#endif
#ifndef MET
#define MET 1             /* each knows already that there is another */
#endif
#ifndef COPIES
#define COPIES 1          /* one of them is a start from a copy, made at any moment */
#endif
#ifndef ANSWERS
#define ANSWERS 2         /* requests or answers lost */
#endif
#ifndef DELETIONS
#define DELETIONS 1       /* entries that a stranger deletes */
#endif

#define OTHER(d) (1 - (d))
#define ME(d)    ((d) + 1)
#define BIT(s)   (1 << (s))
#define HAS(mask, s) (((mask) >> (s)) & 1)

/* Where an entry stands, and who has it. */
#define GONE   0
#define INTAKE 1
#define CRM    2
#define NEW    0          /* not handed out; 1 and 2 are the daemons */
#define PARKED 3

typedef Redis {
  byte epoch, life, owner, last; /* life: the run id that was noted with the epoch */
  byte key[LEADS];        /* idempotency keys: the homes of leads that were added */
  byte at[SLOTS], by[SLOTS];
  byte unsure;            /* mask: in the hash beside the stream */
  byte told;              /* mask: a lead's outcome waits for its home */
};
Redis r, copy;
bit  copied;
byte server = 1;          /* the run id of the server */
byte clock;               /* epochs are taken from it */

byte added;               /* entries so far, and what stands in them: */
byte lead[SLOTS], ofEpoch[SLOTS]; /* epoch 0: the lead's home is not sure that it was not delivered */

typedef Disk {
  byte accepted, intent, done; /* masks of leads */
  byte epoch, foreign;    /* the epoch note */
  bit  others;
};
Disk disk[2];

typedef Memory {
  bit  up, owns, broken, serving, ticked, opening; /* broken: what was opened last may have been another's since */
  byte epoch, foreign;
  byte life;              /* the run id of the server that answered the last tick */
  byte step;              /* of the lease: 1 answered, 2 epoch set, 3 noted; 5 to follow, 6 noted */
  byte sawEpoch, sawLast;
  bit  intact, change;
  bit  queued, redriven, doubt, force; /* the home lead in the backlog */
  bit  sending; byte sendEpoch, sendOf;
  byte look;              /* of reconcile */
  byte hand, handCrm, handUnsure, listMine, listOthers; /* masks of entries */
  byte work, pc;          /* entry in a Handle call + 1, and how far it is */
  bit  unsure, window;    /* window: the call's deadline has not passed */
};
Memory m[2];

byte msg[2];              /* masks of leads: creates on their way to the sink */
byte created[LEADS];
byte acked;               /* mask */
/* Masks of entries: their doubt arose while a call of that daemon could be under way. */
byte before[2];
bit  openBefore[2];       /* the same for entries that are in doubt since the partition was opened */

byte faults, crashes, expiries, losses, answers, deletions;
#define MAY(n, max) (faults < FAULTS && n < max)
#define COST(n) faults++; n++

byte i;                   /* counts within a step; 0 between steps */

/* Lead l is at home at daemon l. */
#define HOME(l)  (l)
#define OPEN(l)  (HAS(disk[HOME(l)].accepted, l) && !HAS(disk[HOME(l)].done, l))
#define IDLE(d)  (m[d].work == 0 && m[d].hand == 0)
#define CALLS(d) (m[d].window || msg[d] != 0 || m[d].owns)

#define IN1(s, l, q) (r.at[s] == q && lead[s] == l)
#if SLOTS == 4
#define IN(l, q) (IN1(0,l,q) || IN1(1,l,q) || IN1(2,l,q) || IN1(3,l,q))
#elif SLOTS == 5
#define IN(l, q) (IN1(0,l,q) || IN1(1,l,q) || IN1(2,l,q) || IN1(3,l,q) || IN1(4,l,q))
#else
#define IN(l, q) (IN1(0,l,q) || IN1(1,l,q) || IN1(2,l,q) || IN1(3,l,q) || IN1(4,l,q) || IN1(5,l,q))
#endif

/* Guards that a macro takes out. */
#ifdef HOME_UNHEARD
#define HOME_IN_DOUBT(d, s) false
#else
#define HOME_IN_DOUBT(d, s) (ofEpoch[s] == 0)
#endif
#ifdef OLDEST_DOUBT
#define FIRST_DOUBT true
#else
#define FIRST_DOUBT false
#endif
#ifdef NEWER_EPOCH
#define OURTIME(d, s) true
#else
#define OURTIME(d, s) (ofEpoch[s] <= m[d].epoch)
#endif
#ifdef HAND_BACK_UNKNOWING
#define KNOWN_HERE(d) 0
#else
#define KNOWN_HERE(d) (disk[d].intent | disk[d].done)
#endif
#ifdef HOME_UNREAD
#define UNTOLD(l) true
#else
#define UNTOLD(l) (!HAS(r.told, l)) /* else it has ended, and its outcome is here to be read */
#endif
#ifdef NO_WAIT
#define WAITS false
#else
#define WAITS true
#endif
#define OVER(d, s) (!WAITS || !HAS(msg[d], lead[s]) && !(HAS(before[OTHER(d)], s) && HAS(msg[OTHER(d)], lead[s])))
#ifdef SEND_ENDED
#define OPEN_ONLY_SENT false
#else
#define OPEN_ONLY_SENT true
#endif
#ifdef NO_LOOKUP
#define LOOKS false
#else
#define LOOKS true
#endif
#ifdef LOOK_ALWAYS
#define RECONCILES true
#else
#define RECONCILES (deletions > 0 || losses > 0) /* before that it finds all where it should be */
#endif
#ifdef NO_OWNS
#define OWNS(d) true
#else
#ifdef TRUST_LEASE
#define OWNS(d) m[d].owns
#else
#define OWNS(d) (m[d].owns && !m[d].broken)
#endif
#endif

inline forget(d) { /* the call is over; what it knew is dropped */
  m[d].work = 0; m[d].pc = 0; m[d].unsure = 0; m[d].window = 0
}

inline ambiguous(d) { m[d].unsure = 1; m[d].window = 0; m[d].pc = 9 }

inline die(d) {
  m[d].up = 0; m[d].owns = 0; m[d].broken = 1; m[d].serving = 0; m[d].ticked = 0; m[d].opening = 0;
  m[d].epoch = 0; m[d].foreign = 0; m[d].life = 0; m[d].step = 0; m[d].sawEpoch = 0; m[d].sawLast = 0; m[d].intact = 0; m[d].change = 0;
  m[d].queued = 0; m[d].redriven = 0; m[d].doubt = 0; m[d].force = 0;
  m[d].sending = 0; m[d].sendEpoch = 0; m[d].sendOf = 0; m[d].look = 0;
  m[d].hand = 0; m[d].handCrm = 0; m[d].handUnsure = 0; m[d].listMine = 0; m[d].listOthers = 0;
  openBefore[d] = 0; forget(d)
}

/* Custody.redrive */
inline redrive(d, inDoubt) {
  if
  :: d < LEADS && OPEN(d) && !m[d].queued -> m[d].queued = 1; m[d].redriven = 1; m[d].doubt = (inDoubt); m[d].look = 0
  :: d < LEADS && OPEN(d) && m[d].queued && m[d].redriven -> m[d].doubt = m[d].doubt || (inDoubt)
  :: else
  fi
}

/* A daemon begins a call and owns the lease: its earlier ones are over, unless a request is on its way still. */
inline begun(d) {
  if
  :: msg[d] == 0 && r.owner == ME(d) -> before[d] = 0; openBefore[OTHER(d)] = 0
  :: else
  fi
}

/* A connection has met another server than the one that granted the lease: server.go. */
#ifdef TRUST_SERVER
#define MET_ANOTHER(d) false
#else
#define MET_ANOTHER(d) (m[d].life != server)
#endif

/* An entry is taken from another consumer. */
inline takeFrom(d, s) {
  m[d].broken = m[d].broken || MET_ANOTHER(d);
  r.by[s] = ME(d); m[d].hand = m[d].hand | BIT(s); m[d].handUnsure = m[d].handUnsure | BIT(s);
  m[d].handCrm = (m[d].handCrm & ~BIT(s)) | (r.at[s] == CRM -> BIT(s) : 0);
#ifndef UNSURE_IN_MEMORY
  r.unsure = r.unsure | BIT(s);
#endif
  before[OTHER(d)] = before[OTHER(d)] | (CALLS(OTHER(d)) -> BIT(s) : 0)
}

/* An entry that is new, due, or ours already. */
inline take(d, s) {
  m[d].broken = m[d].broken || MET_ANOTHER(d);
  r.by[s] = ME(d); m[d].hand = m[d].hand | BIT(s);
  m[d].handCrm = (m[d].handCrm & ~BIT(s)) | (r.at[s] == CRM -> BIT(s) : 0);
  m[d].handUnsure = (m[d].handUnsure & ~BIT(s)) | (HAS(r.unsure, s) -> BIT(s) : 0)
}

inline drop(d, s) {
  m[d].hand = m[d].hand & ~BIT(s); m[d].handCrm = m[d].handCrm & ~BIT(s); m[d].handUnsure = m[d].handUnsure & ~BIT(s)
}

inline remove(s) { r.at[s] = GONE; r.by[s] = NEW; r.unsure = r.unsure & ~BIT(s) }

#ifdef NO_KEY
#define ALWAYS true
#else
#define ALWAYS false
#endif

inline append(d) {
  if
  :: m[d].force -> r.key[d] = 0
  :: else
  fi;
  if
  :: r.key[d] == 0 || ALWAYS ->
     assert(added < SLOTS);
     r.key[d] = ME(d); r.at[added] = INTAKE; r.by[added] = NEW; lead[added] = d; ofEpoch[added] = m[d].sendOf; added++
  :: else
  fi
}

/* take.go, forward.go, redrive.go and the outcomes that come home: lead d at its home. */
proctype Home(byte d) {
  do
#ifdef ACK_FIRST
  :: d_step { m[d].up && !HAS(acked, d) -> acked = acked | BIT(d) }
  :: d_step { m[d].up && HAS(acked, d) && !HAS(disk[d].accepted, d) && crashes == 0 -> disk[d].accepted = BIT(d); m[d].queued = 1 }
#else
  :: d_step { m[d].up && !HAS(disk[d].accepted, d) -> disk[d].accepted = BIT(d); m[d].queued = 1 }
  :: d_step { m[d].up && HAS(disk[d].accepted, d) && !HAS(acked, d) -> acked = acked | BIT(d) }
#endif

  :: d_step { m[d].queued && OPEN_ONLY_SENT && !OPEN(d) && !m[d].sending -> /* it went on from an earlier sending, and has ended */
       m[d].queued = 0; m[d].redriven = 0; m[d].doubt = 0; m[d].force = 0
     }
  :: d_step { m[d].queued && (OPEN(d) || !OPEN_ONLY_SENT) && m[d].epoch != 0 && m[d].epoch == r.epoch && !m[d].sending ->
       m[d].sending = 1; m[d].sendEpoch = m[d].epoch; m[d].sendOf = (m[d].doubt -> 0 : m[d].epoch);
#ifndef FORGET_SENT
       m[d].redriven = 1 /* from here on it may stand in Redis */
#endif
     }
  :: d_step { m[d].sending && (m[d].sendEpoch != r.epoch || r.life != server) -> /* append.lua refuses */
       m[d].sending = 0; m[d].sendEpoch = 0; m[d].sendOf = 0
     }
  :: d_step { m[d].sending && m[d].sendEpoch == r.epoch && r.life == server -> /* append.lua, and its answer */
       append(d);
       m[d].sending = 0; m[d].sendEpoch = 0; m[d].sendOf = 0;
       m[d].queued = 0; m[d].redriven = 0; m[d].doubt = 0; m[d].force = 0
     }
  :: d_step { m[d].sending && m[d].sendEpoch == r.epoch && r.life == server && MAY(answers, ANSWERS) -> /* the answer is lost: sent again */
       COST(answers);
       append(d);
       m[d].sending = 0; m[d].sendEpoch = 0; m[d].sendOf = 0
     }

  :: d_step { m[d].up && HAS(r.told, d) -> /* runHome */
       r.told = r.told & ~BIT(d); disk[d].done = disk[d].done | BIT(d); disk[d].intent = disk[d].intent & ~BIT(d); m[d].look = 0
     }

#ifndef NO_RECONCILE
  /* reconcile: two looks through the queues, in the order in which leads move */
  :: d_step { RECONCILES && m[d].up && m[d].epoch != 0 && OPEN(d) && !m[d].queued && (m[d].look == 0 || m[d].look == 3) && !IN(d, INTAKE) -> m[d].look++ }
  :: d_step { OPEN(d) && (m[d].look == 1 || m[d].look == 4) && !IN(d, CRM) -> m[d].look++ }
  :: d_step { OPEN(d) && (m[d].look == 2 || m[d].look == 5) && UNTOLD(d) ->
       if
       :: m[d].look == 2 -> m[d].look = 3
       :: m[d].look == 5 && !m[d].queued -> /* redriveLost */
          m[d].look = 0; m[d].queued = 1; m[d].redriven = 1; m[d].force = 1;
#ifndef SURE_OF_LOST
          m[d].doubt = disk[d].others;
#endif
          m[d].serving = 0
       :: else -> m[d].look = 0
       fi
     }
#endif
  od
}

#ifdef FREE_CLAIM
#define CLAIMS(d) true
#else
#define CLAIMS(d) (r.owner == ME(d))
#endif

/* partition.go: who owns the queues, and whether Redis is what it was. */
proctype Lease(byte d) {
  do
  :: d_step { !m[d].up -> /* Custody.Open */
       m[d].up = 1;
#ifdef SURE_START
       redrive(d, 0)
#else
       redrive(d, disk[d].others) /* whether Redis has it is not known here, nor whether the other has delivered it */
#endif
     }
  /* tick: lease.lua, and it is ours. Who stops serving lets its calls end before it asks again. */
  :: d_step { m[d].up && m[d].step == 0 && !m[d].opening && (m[d].serving || IDLE(d)) && r.owner != ME(OTHER(d)) &&
       (r.owner == 0 || !m[d].owns || r.epoch != m[d].epoch || r.life != server || r.last != ME(d) ||
        !m[d].serving && !m[d].ticked) ->
       if
       :: r.epoch != 0 && r.epoch == m[d].epoch && r.life == server ->
          if
          :: r.last != ME(d) -> m[d].serving = 0; m[d].broken = 1
          :: else
          fi;
          m[d].ticked = !m[d].serving && IDLE(d)
       :: else ->
          m[d].sawEpoch = r.epoch; m[d].sawLast = r.last; m[d].intact = (r.epoch != 0 && r.epoch >= disk[d].epoch && r.life == server);
          m[d].step = 1; m[d].broken = 1
       fi;
       r.owner = ME(d); r.last = ME(d); m[d].owns = 1; m[d].life = server
     }
  /* tick: it is the other's */
  :: d_step { m[d].up && m[d].step == 0 && !m[d].opening && (m[d].serving || IDLE(d)) && r.owner == ME(OTHER(d)) &&
       (m[d].owns || m[d].serving || m[d].ticked || r.epoch != m[d].epoch) ->
       m[d].owns = 0; m[d].broken = 1; m[d].ticked = 0; m[d].serving = 0;
       if
       :: r.epoch == 0 -> m[d].epoch = 0
       :: r.epoch != 0 && r.epoch != m[d].epoch -> m[d].sawEpoch = r.epoch; m[d].step = 5
       :: else
       fi
     }
  /* renew: the epoch in Redis (epoch.lua), then in the journal, then in memory */
  :: d_step { m[d].step == 1 ->
       if
       :: m[d].intact -> skip
       :: else -> clock++; r.epoch = clock; r.life = server; m[d].sawEpoch = clock; m[d].change = 1
       fi;
       m[d].step = 2
     }
  :: d_step { m[d].step == 2 ->
       if
       :: m[d].sawLast != 0 && m[d].sawLast != ME(d) -> disk[d].others = 1
       :: else
       fi;
#ifndef TRUST_SET_EPOCH
       /* An epoch that this journal does not know says that Redis has lost something since, whoever has set it. */
       m[d].change = m[d].change || m[d].sawEpoch != disk[d].epoch;
#endif
       if
       :: m[d].change && (disk[d].others || disk[d].epoch == 0 && m[d].intact) -> disk[d].foreign = m[d].sawEpoch
       :: else
       fi;
       disk[d].epoch = m[d].sawEpoch; m[d].step = 3
     }
  :: d_step { m[d].step == 3 ->
       m[d].foreign = disk[d].foreign; m[d].epoch = disk[d].epoch;
#ifdef OPENED_AT_RENEWAL
       openBefore[d] = CALLS(OTHER(d));
#endif
       if
       :: m[d].change -> redrive(d, disk[d].foreign == disk[d].epoch)
       :: else
       fi;
       m[d].change = 0; m[d].intact = 0; m[d].sawEpoch = 0; m[d].sawLast = 0; m[d].step = 0; m[d].serving = 0
     }
  /* follow: the epoch that another owner has set */
  :: d_step { m[d].step == 5 ->
       m[d].change = (disk[d].epoch != 0 && disk[d].epoch != m[d].sawEpoch);
#ifndef FOLLOW_SURE
       if
       :: disk[d].epoch != m[d].sawEpoch -> disk[d].foreign = m[d].sawEpoch
       :: else
       fi;
#endif
       disk[d].epoch = m[d].sawEpoch; disk[d].others = 1; m[d].step = 6
     }
  :: d_step { m[d].step == 6 ->
       m[d].epoch = disk[d].epoch;
#ifdef FOLLOW_SURE
       if
       :: m[d].change -> redrive(d, 0)
       :: else
       fi;
#else
       m[d].foreign = disk[d].foreign;
       if
       :: m[d].change -> redrive(d, 1)
       :: else
       fi;
#endif
       m[d].change = 0; m[d].sawEpoch = 0; m[d].step = 0
     }
  /* open: takeOver lists what is in somebody's hands, and claims it */
  :: d_step { m[d].ticked && m[d].step == 0 ->
       m[d].ticked = 0; m[d].opening = 1;
       for (i : 0 .. SLOTS-1) {
         if
         :: r.at[i] != GONE && r.by[i] == ME(d) -> m[d].listMine = m[d].listMine | BIT(i)
         :: r.at[i] != GONE && r.by[i] == ME(OTHER(d)) -> m[d].listOthers = m[d].listOthers | BIT(i)
         :: else
         fi
       }
       i = 0
     }
  :: d_step { m[d].opening ->
       if
       :: CLAIMS(d) -> /* claim.lua */
#ifndef OPENED_AT_RENEWAL
          openBefore[d] = openBefore[d] || m[d].broken && CALLS(OTHER(d));
#endif
          for (i : 0 .. SLOTS-1) {
            if
            :: HAS(m[d].listOthers, i) && r.at[i] != GONE && r.by[i] != NEW -> takeFrom(d, i)
            :: HAS(m[d].listMine, i) && r.at[i] != GONE && r.by[i] != NEW -> take(d, i)
            :: else
            fi
          }
          i = 0;
          m[d].serving = 1; m[d].broken = MET_ANOTHER(d)
       :: else
       fi;
       m[d].listMine = 0; m[d].listOthers = 0; m[d].opening = 0
     }
  od
}

/* runner.go and reclaim.go: entry s at the daemon that serves, or believes that it serves. */
proctype Hands(byte d; byte s) {
  do
  /* XREADGROUP; its answer may be lost */
  :: d_step { m[d].serving && r.at[s] != GONE && r.by[s] == NEW -> take(d, s) }
  :: d_step { m[d].serving && r.at[s] != GONE && r.by[s] == NEW && MAY(answers, ANSWERS) -> COST(answers); r.by[s] = ME(d) }
  /* sweep */
  :: d_step { m[d].serving && r.owner == ME(d) && r.at[s] != GONE && r.by[s] == ME(d) && !HAS(m[d].hand, s) && m[d].work != s + 1 -> take(d, s) }
  /* XAUTOCLAIM */
  :: d_step { m[d].serving && m[d].owns && r.at[s] != GONE && r.by[s] == PARKED -> take(d, s) }
#ifndef OPEN_ONLY
  /* what an earlier owner has read after the partition was opened */
  :: d_step { m[d].serving && r.owner == ME(d) && r.at[s] != GONE && r.by[s] == ME(OTHER(d)) -> takeFrom(d, s) }
#endif
  /* stop: what surely was never sent is given back, the rest is left to the next owner */
  :: d_step { !m[d].serving && HAS(m[d].hand, s) && !HAS(m[d].handUnsure, s) && r.epoch == m[d].epoch && r.at[s] != GONE && r.by[s] == ME(d) &&
       !HAS(KNOWN_HERE(d), lead[s]) -> r.by[s] = PARKED; drop(d, s)
     }
  :: d_step { !m[d].serving && HAS(m[d].hand, s) -> drop(d, s) }
  /* a Handle call begins: handle.go, without */
  :: d_step { m[d].serving && m[d].work == 0 && HAS(m[d].hand, s) ->
       m[d].work = s + 1;
       if
       :: !HAS(m[d].handCrm, s) -> m[d].pc = 10
       :: HAS(m[d].handCrm, s) && HAS(disk[d].done, lead[s]) -> m[d].pc = 7
       :: else ->
          m[d].pc = 1;
          m[d].unsure = HAS(m[d].handUnsure, s);
#ifndef NO_INTENT
          m[d].unsure = m[d].unsure || HAS(disk[d].intent, lead[s]);
#endif
          if
          :: (ofEpoch[s] < m[d].foreign || HOME_IN_DOUBT(d, s)) && !(m[d].unsure && FIRST_DOUBT) ->
             m[d].unsure = 1;
             before[OTHER(d)] = before[OTHER(d)] | (openBefore[d] -> BIT(s) : 0)
          :: else
          fi
       fi;
       drop(d, s)
     }
  od
}

/* What settle.lua asks: is the partition what it was, and is the entry still pending under this consumer? */
#ifdef NO_FENCE
#define OURS(d, s, q) (r.epoch == m[d].epoch && (r.at[s] == q || q == INTAKE))
#else
#define OURS(d, s, q) (r.epoch == m[d].epoch && r.at[s] == q && r.by[s] == ME(d))
#endif

/* handle.go: one call. */
proctype Call(byte d) {
  byte s, l;
  do
  /* the processor's verdict: settle.lua hands the lead over */
  :: d_step { m[d].pc == 10 ->
       s = m[d].work - 1;
       if
       :: OURS(d, s, INTAKE) -> r.at[s] = CRM; r.by[s] = NEW
       :: !OURS(d, s, INTAKE) && r.epoch != m[d].epoch -> m[d].serving = 0
       :: else
       fi;
       forget(d); s = 0
     }
  /* the lease still stands: the deadline of the call counts from here */
  :: d_step { m[d].pc == 1 ->
       if
       :: OWNS(d) && OURTIME(d, m[d].work - 1) -> m[d].pc = 2;
#ifndef LATE_DEADLINE
          m[d].window = 1; begun(d)
#endif
       :: else -> m[d].pc = 9
       fi
     }
  :: d_step { m[d].pc == 2 ->
       disk[d].intent = disk[d].intent | BIT(lead[m[d].work - 1]); m[d].pc = (m[d].unsure && LOOKS -> 3 : 4);
#ifdef LATE_DEADLINE
       m[d].window = 1; begun(d)
#endif
     }
  /* the look, after what may have been under way when the doubt arose */
  :: d_step { m[d].pc == 3 && OVER(d, m[d].work - 1) ->
       s = m[d].work - 1;
       if
       :: HAS(before[OTHER(d)], s) && WAITS -> m[OTHER(d)].window = 0; m[OTHER(d)].owns = (r.owner == ME(OTHER(d)) && m[OTHER(d)].owns)
       :: else
       fi;
       m[d].pc = (!m[d].window -> 9 : (created[lead[s]] > 0 -> 6 : 4));
       s = 0
     }
  :: d_step { m[d].pc == 4 && m[d].window -> msg[d] = msg[d] | BIT(lead[m[d].work - 1]); m[d].pc = 5 }
  :: d_step { m[d].pc == 4 && !m[d].window -> m[d].pc = 9 }
  /* no answer in time: the request may be on its way still */
  :: d_step { m[d].pc == 5 && MAY(answers, ANSWERS) -> COST(answers); ambiguous(d) }
  /* the outcome in the journal, then in Redis */
  :: d_step { m[d].pc == 6 ->
       l = lead[m[d].work - 1];
       disk[d].done = disk[d].done | BIT(l); disk[d].intent = disk[d].intent & ~BIT(l);
       m[d].window = 0; m[d].pc = 7;
       if
       :: HOME(l) == d -> m[d].look = 0
       :: else
       fi;
       l = 0
     }
  :: d_step { m[d].pc == 7 ->
       s = m[d].work - 1;
       if
       :: OURS(d, s, CRM) -> remove(s);
#ifndef NEVER_HOME
          r.told = r.told | (HOME(lead[s]) != d -> BIT(lead[s]) : 0)
#endif
       :: !OURS(d, s, CRM) && r.epoch != m[d].epoch -> m[d].serving = 0
       :: else
       fi;
       forget(d); s = 0
     }
  /* parked for a later try; what was not sent takes its intent back */
  :: d_step { m[d].pc == 9 ->
       s = m[d].work - 1;
       disk[d].intent = (disk[d].intent & ~BIT(lead[s])) | (m[d].unsure -> BIT(lead[s]) : 0);
       if
       :: OURS(d, s, CRM) ->
          r.by[s] = PARKED; r.unsure = r.unsure | (m[d].unsure -> BIT(s) : 0);
          before[d] = before[d] | (m[d].unsure && msg[d] != 0 -> BIT(s) : 0)
       :: !OURS(d, s, CRM) && r.epoch != m[d].epoch -> m[d].serving = 0
       :: else
       fi;
       forget(d); s = 0
     }
  od
}

inline create(l) {
  created[l]++;
  assert(created[l] <= 1) /* never created twice */
}

#define ASKS(d, l) (m[d].pc == 5 && lead[m[d].work - 1] == l)

/* The sink, and the way to it. */
proctype Sink(byte d; byte l) {
  do
  :: d_step { HAS(msg[d], l) ->
       msg[d] = msg[d] & ~BIT(l); create(l);
       if
       :: ASKS(d, l) -> m[d].pc = 6
       :: else
       fi
     }
  :: d_step { HAS(msg[d], l) && ASKS(d, l) && MAY(answers, ANSWERS) -> /* the answer is lost */
       COST(answers); msg[d] = msg[d] & ~BIT(l); create(l); ambiguous(d)
     }
  :: d_step { HAS(msg[d], l) && MAY(answers, ANSWERS) -> /* the request is lost */
       COST(answers); msg[d] = msg[d] & ~BIT(l);
       if
       :: ASKS(d, l) -> ambiguous(d)
       :: else
       fi
     }
  od
}

inline flush() {
  r.epoch = 0; r.life = 0; r.owner = 0; r.last = 0; r.unsure = 0; r.told = 0;
  for (i : 0 .. LEADS-1) { r.key[i] = 0 }
  for (i : 0 .. SLOTS-1) { r.at[i] = GONE; r.by[i] = NEW }
  i = 0
}

inline transfer(to, from) {
  to.epoch = from.epoch; to.life = from.life; to.owner = from.owner; to.last = from.last; to.unsure = from.unsure; to.told = from.told;
  for (i : 0 .. LEADS-1) { to.key[i] = from.key[i] }
  for (i : 0 .. SLOTS-1) { to.at[i] = from.at[i]; to.by[i] = from.by[i] }
  i = 0
}

proctype Nature() {
  do
  :: d_step { m[0].up && MAY(crashes, CRASHES) -> COST(crashes); die(0) }
  :: d_step { m[1].up && MAY(crashes, CRASHES) -> COST(crashes); die(1) }
  :: d_step { r.owner != 0 && MAY(expiries, EXPIRIES) -> COST(expiries); /* a script that was not sent by now is given up */
       m[r.owner-1].owns = 0; m[r.owner-1].step = (m[r.owner-1].step == 1 -> 0 : m[r.owner-1].step); r.owner = 0
     }
  :: d_step { MAY(losses, LOSSES) && r.epoch != 0 -> COST(losses); flush() }
  :: d_step { MAY(losses, LOSSES) && r.epoch != 0 -> COST(losses); server++ }
  :: d_step { MAY(losses, LOSSES) && r.epoch != 0 -> COST(losses); server++; flush() }
  :: d_step { !copied && COPIES && added > 0 && losses == 0 && faults < FAULTS -> copied = 1; transfer(copy, r) }
  :: d_step { copied && MAY(losses, LOSSES) -> COST(losses); server++; transfer(r, copy) }
  :: d_step { MAY(deletions, DELETIONS) && r.at[0] != GONE -> COST(deletions); remove(0) }
  :: d_step { MAY(deletions, DELETIONS) && r.at[1] != GONE -> COST(deletions); remove(1) }
  :: timeout -> break
  od;
  /* Nothing moves any more: every lead that got its 2xx has been created, once, and its home knows. */
  for (i : 0 .. LEADS-1) {
    assert(!HAS(acked, i) || created[i] == 1);
    assert(!HAS(acked, i) || HAS(disk[HOME(i)].done, i));
  }
  assert(msg[0] == 0 && msg[1] == 0)
}

init {
  byte d, s;
  atomic {
    for (i : 0 .. 1) { m[i].up = 1; m[i].broken = 1; disk[i].others = MET }
    i = 0;
    for (d : 0 .. 1) {
      run Lease(d); run Call(d);
      for (s : 0 .. SLOTS-1) { run Hands(d, s) }
      for (s : 0 .. LEADS-1) { run Sink(d, s) }
    }
    for (d : 0 .. LEADS-1) { run Home(d) }
    d = 0; s = 0;
    run Nature()
  }
}
