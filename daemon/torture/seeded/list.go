//go:build linux

package seeded

import (
	"net/http"

	"leadstream/sinks/sim/fault"
	"leadstream/streams/failpoint"
)

// scenarios by name. One named journal.Test… is a test of the journal.
var scenarios = map[string]scenario{
	"killed in a call":         killedInCall,
	"killed after the card":    killedAfterCard,
	"flushed while unsure":     flushedWhileUnsure,
	"killed after a delivery":  killedAfterDelivery,
	"a customer's first fails": firstFails,
	"another customer's fails": anotherFails,
	"the owner stalls":         stalledOwner,
	"Redis is restored":        restored,
	"the journal is tidied":    tidied,
	"flushed after a death":    flushedAfterDeath,
	"an entry vanishes":        vanished,
	"an entry is deleted":      deleted,
	"a byte flips in Redis":    flippedInRedis,
	"Redis is out of memory":   outOfMemory,
	"Redis's answers are lost": answersLost,
	"repeated after a kill":    repeatedAfterKill,
	"the journal is damaged":   damagedJournal,
	"the answer is lost":       oneFault(fault.Fault{LoseAnswer: true}),
	"the connection is reset":  oneFault(fault.Fault{Reset: true}),
	"reset, the card is made":  oneFault(fault.Fault{Reset: true, After: true}),
	"502, the card is made":    oneFault(fault.Fault{Status: http.StatusBadGateway, After: true}),
	"a login page":             oneFault(fault.Fault{HTML200: true}),
	"finished late":            finishedLate,
	"Retry-After in seconds":   retryAfter,
	"Retry-After with a date":  retryAfterDate,
	"the key is removed":       keyRemoved,
	"the last attempt fails":   lastAttempt,
	"the portal is down":       outage,
}

// seeds are the mistakes that the harness must find, each by a scenario of its own.
var seeds = []seed{
	{failpoint.AnswerBeforeSync, "journal.TestPowerCut/while_a_sync_is_under_way", "LOST"},
	{failpoint.SyncAgain, "journal.TestPowerCut/after_a_sync_has_failed", "LOST"},
	{failpoint.CutAtDamage, "the journal is damaged", "LOST"},
	{failpoint.ResendBlindly, "Redis's answers are lost", "ADDED TWICE"},
	{failpoint.RefusalBelieved, "Redis is out of memory", "LOST"},
	{failpoint.KeysForgotten, "repeated after a kill", "TAKEN AGAIN"},
	{failpoint.EpochIgnored, "Redis is restored", "LOST"},
	{failpoint.DeletedIgnored, "an entry is deleted", "the loss is counted"},
	{failpoint.ReconcileOff, "an entry vanishes", "LOST"},
	{failpoint.ChecksumIgnored, "a byte flips in Redis", "DAMAGED"},
	{failpoint.LeaseIgnored, "the owner stalls", "DOUBLED"},
	{failpoint.DoneBeforeCall, "killed in a call", "LOST"},
	{failpoint.IntentUnwritten, "killed after the card", "DOUBLED"},
	{failpoint.IntentForgotten, "flushed while unsure", "DOUBLED"},
	{failpoint.DoneUnwritten, "killed after a delivery", "LEFT OPEN"},
	{failpoint.OrderIgnored, "a customer's first fails", "OUT OF ORDER"},
	{failpoint.OneLine, "another customer's fails", "HELD UP"},
	{failpoint.SentUnnoticed, "reset, the card is made", "DOUBLED"},
	{failpoint.CreateRepeated, "502, the card is made", "DOUBLED"},
	{failpoint.AnySuccess, "a login page", "LOST"},
	{failpoint.NoLook, "the answer is lost", "DOUBLED"},
	{failpoint.LooksTooSoon, "finished late", "DOUBLED"},
	{failpoint.JitterBelow, "Retry-After in seconds", "TOO SOON"},
	{failpoint.DateIgnored, "Retry-After with a date", "TOO SOON"},
	{failpoint.UnauthorizedDies, "the key is removed", "DEAD"},
	{failpoint.OpenDropped, "the journal is tidied", "LOST"},
	{failpoint.DeadForgotten, "flushed after a death", "LOST"},
	{failpoint.GivesUpSilently, "the last attempt fails", "LOST"},
	{failpoint.LateUntold, "the portal is down", "a person is told of the late lead"},
	{failpoint.SecretShown, "the connection is reset", "LEAKS"},
}
