-- Keeps the later of two pauses of a destination. KEYS: hash. ARGV: until in ms (0: for ever), reason, by, how long in ms.
local old = redis.call('HGET', KEYS[1], 'until')
if old == '0' or (old and ARGV[1] ~= '0' and tonumber(old) >= tonumber(ARGV[1])) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'until', ARGV[1], 'reason', ARGV[2], 'by', ARGV[3], 'lasts', ARGV[4])
if ARGV[1] ~= '0' then redis.call('PEXPIRE', KEYS[1], math.max(tonumber(ARGV[4]), 1)) end -- not at a moment: clocks disagree
return 1
