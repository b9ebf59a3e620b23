#!lua flags=allow-oom
-- Takes entries for this consumer, as long as the lease is ours: an owner that was asleep must not take them out of the
-- hands of the one after it. What came from other hands may have been sent by them; that is kept beside the entry, where
-- it outlives this owner.
-- KEYS: owner, stream, meta. ARGV: instance|boot, group, consumer, since when they are unsure in unix ms ('' for those
-- that nobody else had), ids. Answers as XCLAIM.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('LEASE ' .. (redis.call('GET', KEYS[1]) or ''))
end
local taken = redis.call('XCLAIM', KEYS[2], ARGV[2], ARGV[3], 0, unpack(ARGV, 5))
if ARGV[4] ~= '' then
  for _, entry in ipairs(taken) do redis.call('HSET', KEYS[3], 'u:' .. entry[1], ARGV[4]) end
end
return taken
