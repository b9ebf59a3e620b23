#!lua flags=allow-oom
-- Makes a queue's stream and group where they are missing, in a full Redis too: it can only be emptied through them.
-- An empty queue keeps nothing beside it either: entries that were deleted under us have left their notes behind.
-- Entries without their group, which somebody has destroyed, come anew as if nobody ever had them. For a destination
-- (ARGV 2: 1) that is a loss as any other of what Redis knew: it gets a new epoch, from which on an owner that cannot
-- know what was done with them looks before it sends.
-- KEYS: stream, meta, count, epoch. ARGV: group, destination. Answers 2 for a new epoch, else 1.
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return redis.error_reply(made.err) end
if redis.call('XLEN', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2], KEYS[3])
elseif not made.err and ARGV[2] == '1' then
  redis.call('SET', KEYS[4], string.format('%d', tonumber(redis.call('GET', KEYS[4]) or '0') + 1))
  return 2
end
return 1
