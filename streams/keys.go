package streams

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// Names of the queues that every installation has. A destination's queue is Destined(name).
const (
	Intake  = "intake"
	Triaged = "triaged"
)

// Group is the name of the one consumer group of every queue; parked, the consumer that holds what waits for a retry.
const (
	Group  = "ls"
	parked = "parked"
)

// Destined names the queue of a destination.
func Destined(destination string) string { return "to:" + destination }

func hotQueue(queue string) string { return queue + ":hot" }

func destinationOf(queue string) string {
	name, ok := strings.CutPrefix(queue, "to:")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(name, ":hot")
}

// Keys names the Redis keys of one partition. All share a hash tag, so that every script stays in one slot.
type Keys struct {
	Prefix    string // "ls" by default
	Partition int
}

func (k Keys) key(name string) string { return fmt.Sprintf("%s:{%d}:%s", k.Prefix, k.Partition, name) }

// Queue is the stream of a queue.
func (k Keys) Queue(queue string) string { return k.key(queue) }

func (k Keys) meta(queue string) string    { return k.key(queue + ":meta") }
func (k Keys) count(queue string) string   { return k.key(queue + ":open") }
func (k Keys) lead(id string) string       { return k.key("id:" + id) }
func (k Keys) home(instance string) string { return k.key("home:" + instance) }
func (k Keys) dead() string                { return k.key("dead") }
func (k Keys) letters() string             { return k.key("dead:by") } // hash: which dead letter a lead has at a destination
func (k Keys) epoch() string               { return k.key("epoch") }
func (k Keys) run() string                 { return k.key("run") }
func (k Keys) owner() string               { return k.key("owner") }
func (k Keys) lastOwner() string           { return k.key("last-owner") }

// PartitionOf says which of n partitions has the leads of an order key.
func PartitionOf(orderKey string, n int) int {
	if n <= 1 {
		return 0
	}
	h := fnv.New32a()
	h.Write([]byte(orderKey))
	return int(h.Sum32() % uint32(n))
}
