-- Keeps the later of two pauses of a destination. KEYS: hash. ARGV: until in ms (0: for ever), reason, by.
local old = redis.call('HGET', KEYS[1], 'until')
if old == '0' or (old and ARGV[1] ~= '0' and tonumber(old) >= tonumber(ARGV[1])) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'until', ARGV[1], 'reason', ARGV[2], 'by', ARGV[3])
if ARGV[1] ~= '0' then redis.call('PEXPIREAT', KEYS[1], ARGV[1]) end
return 1
