// Package sim holds a simulation of the engine: journal, queues, retries, breaker, leases and order per customer, for
// thousands of short lives of a small world that a seed decides. The engine is the real one, with its real Redis client
// and Lua; Redis is the model of streamstest/model, time is that of testing/synctest, and the network, the far side, the
// senders, the crashes and the clock are the seed's.
//
//	go test ./streams/sim                          some seeds
//	go test ./streams/sim -seeds 10000 -first 1    these
//	go test ./streams/sim -seed 12345 -v           one, with its trace
//
// There is no code here but tests.
package sim
