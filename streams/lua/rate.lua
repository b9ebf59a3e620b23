-- Takes units from a destination's rate limit, a leaky bucket kept as the time at which it will be empty.
-- It uses the server's clock, the one clock that all daemons share: theirs may be seconds apart, and a bucket filled by
-- one would look empty or overfull to another. A clock that was set back cannot block the bucket for longer than a full
-- one takes.
-- KEYS: bucket. ARGV: microseconds a unit, units in a full bucket, units. Answers how long to wait (0: taken), and when
-- the bucket will be empty, both in microseconds from now.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local full = ARGV[1] * ARGV[2]
local filled = tonumber(redis.call('GET', KEYS[1]) or 0) - now
filled = math.min(math.max(filled, 0), full)
local more = filled + ARGV[1] * ARGV[3]
if more > full then return {math.ceil(more - full), math.ceil(filled)} end
redis.call('SET', KEYS[1], string.format('%.0f', now + more), 'PX', math.ceil(more / 1000) + 1000)
return {0, math.ceil(more)}
