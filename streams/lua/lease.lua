#!lua flags=allow-oom
-- A full Redis can only be emptied by who owns it.
-- Takes or renews the lease of a partition, and tells what its owner must know to trust what is in it.
-- KEYS: owner, last owner, epoch, run. ARGV: instance, boot, time to live in ms, starting (1: the first try of this
-- process, which may take over from an earlier process of the same instance, since a lock on its folder keeps two apart),
-- heard (1: the answer before has come; whom it named as the last owner need not be named again).
-- Answers: 1 or 0 (ours or not), the owner, the last owner's instance, epoch, run id noted, run id of the server.
local me = ARGV[1] .. '|' .. ARGV[2]
local owner = redis.call('GET', KEYS[1]) or ''
-- The last owner is kept as its instance, and behind it the one before, as long as the last has not heard of that one.
local last, before = string.match(redis.call('GET', KEYS[2]) or '', '^([^|]*)|?(.*)$')
local mine = owner == '' or owner == me
  or (ARGV[4] == '1' and string.sub(owner, 1, #ARGV[1] + 1) == ARGV[1] .. '|')
if mine then
  redis.call('SET', KEYS[1], me, 'PX', ARGV[3])
  if last ~= ARGV[1] then
    before = last
  elseif ARGV[5] == '1' then
    before = ''
  end
  redis.call('SET', KEYS[2], before == '' and ARGV[1] or ARGV[1] .. '|' .. before)
  if before ~= '' then last = before end
  owner = me
end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
return {mine and 1 or 0, owner, last, redis.call('GET', KEYS[3]) or '', redis.call('GET', KEYS[4]) or '', run}
