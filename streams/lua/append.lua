-- Adds leads to the intake stream, each once: the idempotency key and the entry are written in one step, so that the
-- caller may send the same batch again after any fault.
-- A server that was started since the partition's owner last looked may be an old copy of it, without the customers'
-- earlier leads: nothing is added before the owner has looked and has those driven again.
-- KEYS: epoch, stream, run, then one idempotency key a lead. ARGV: epoch, time to live in ms, force (1: add whatever the key
-- says), home of the leads, then for each lead: id, lead, sum, epoch of the entry, only. Answers for each 1 (added),
-- 0 (was there), or the home that had it first.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('EPOCH ' .. (redis.call('GET', KEYS[1]) or ''))
end
if redis.call('GET', KEYS[3]) ~= string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') then
  return redis.error_reply('EPOCH of another run of the server')
end
local answer = {}
for i = 4, #KEYS do
  local a = 5 + (i - 4) * 5
  if ARGV[3] == '1' then redis.call('DEL', KEYS[i]) end
  if redis.call('SET', KEYS[i], ARGV[4], 'NX', 'PX', ARGV[2]) then
    local added
    if ARGV[a + 4] == '' then
      added = redis.pcall('XADD', KEYS[2], '*', 'id', ARGV[a], 'lead', ARGV[a + 1], 'sum', ARGV[a + 2], 'epoch', ARGV[a + 3])
    else
      added = redis.pcall('XADD', KEYS[2], '*', 'id', ARGV[a], 'lead', ARGV[a + 1], 'sum', ARGV[a + 2], 'epoch', ARGV[a + 3], 'only', ARGV[a + 4])
    end
    if type(added) == 'table' then -- out of memory: the key must not outlive the entry that was refused
      redis.call('DEL', KEYS[i])
      return redis.error_reply(added.err)
    end
    answer[i - 3] = 1
  else
    local home = redis.call('GET', KEYS[i])
    answer[i - 3] = home ~= ARGV[4] and home or 0
  end
end
return answer
