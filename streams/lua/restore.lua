#!lua flags=allow-oom
-- Adds a dead letter that Redis has lost, unless its lead has one at that destination.
-- KEYS: dead, letters. ARGV: field of the letter in that hash, field, value, ... Answers 1, or 0 when there is one.
local there = redis.call('HGET', KEYS[2], ARGV[1])
if there and #redis.call('XRANGE', KEYS[1], there, there) > 0 then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2)))
return 1
