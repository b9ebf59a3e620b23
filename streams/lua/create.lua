#!lua flags=allow-oom
-- Makes a queue's stream and group where they are missing, in a full Redis too: it can only be emptied through them.
-- An empty queue keeps nothing beside it either: entries that were deleted under us have left their notes behind.
-- KEYS: stream, meta, count. ARGV: group.
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return redis.error_reply(made.err) end
if redis.call('XLEN', KEYS[1]) == 0 then redis.call('DEL', KEYS[2], KEYS[3]) end
return 1
