#!lua flags=allow-oom
-- Takes what has waited out its delay, as long as the lease is ours. What an owner that was asleep took and settled, the
-- one after it would believe to be parked for ever, and with it all that waits behind it.
-- KEYS: owner, stream. ARGV: instance|boot, group, consumer, idle in ms, cursor, count. Answers as XAUTOCLAIM.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('LEASE ' .. (redis.call('GET', KEYS[1]) or ''))
end
return redis.call('XAUTOCLAIM', KEYS[2], ARGV[2], ARGV[3], ARGV[4], ARGV[5], 'COUNT', ARGV[6])
