#!lua flags=allow-oom
-- Moves one dead letter back into the queue of its destination, in one step.
-- KEYS: epoch, dead, target, count, home events, letters. ARGV: epoch, id, order key, event ('' for none), field of the letter
-- in the hash of the letters, number of words, field, value, ...
-- With no words the dead letter is only removed. Answers 1, or 0 when it is gone already.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('EPOCH ' .. (redis.call('GET', KEYS[1]) or ''))
end
if #redis.call('XRANGE', KEYS[2], ARGV[2], ARGV[2]) == 0 then return 0 end
local words = tonumber(ARGV[6])
if words > 0 then
  redis.call('XADD', KEYS[3], '*', unpack(ARGV, 7, 6 + words))
  if ARGV[3] ~= '' then redis.call('HINCRBY', KEYS[4], ARGV[3], 1) end
end
if ARGV[4] ~= '' then redis.call('XADD', KEYS[5], '*', 'event', ARGV[4]) end
redis.call('XDEL', KEYS[2], ARGV[2])
if redis.call('HGET', KEYS[6], ARGV[5]) == ARGV[2] then redis.call('HDEL', KEYS[6], ARGV[5]) end
return 1
