#!lua flags=allow-oom
-- Makes a queue's stream and group where they are missing, in a full Redis too: it can only be emptied through them.
-- KEYS: stream. ARGV: group.
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return redis.error_reply(made.err) end
return 1
