#!lua flags=allow-oom
-- A full Redis is emptied by settling: what is added here takes the place of what goes.
-- Settles entries of one queue. An entry that is not pending under this consumer any more is somebody else's by now and
-- is left alone (0). Else its followers are added, and only then it is acknowledged and deleted: Lua does not roll
-- back, and the other order loses the lead when an XADD is refused. A refused follower undoes the ones before it and
-- leaves the entry pending (the error's text).
-- KEYS: epoch, stream, meta, count (of open entries by order key; may equal meta for queues that keep none), then the
-- streams and counts that followers name by index.
-- ARGV: epoch, group, consumer, the lowest and the highest id, then for each entry:
--   id, order key ('' where none is counted), op,
--   op 'park': idle in ms, deliveries, meta;
--   op 'done': number of followers, and for each: stream, normal stream (0: none), count (0: none), order key,
--              number of words, field, value, ...
-- A dead letter has -1 for the normal stream, the hash of the letters for the count, and the field there for the order key:
-- it takes the place of the one that its lead has at that destination. With -2 it is left out when there is one.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('EPOCH ' .. (redis.call('GET', KEYS[1]) or ''))
end
local stream, group, consumer = KEYS[2], ARGV[2], ARGV[3]
local answer, finished = {}, {}
local held, from = {}, ARGV[4] -- what is pending under this consumer: asked by pages, asked entry by entry it was the dearest call of all
repeat
  local page = redis.call('XPENDING', stream, group, from, ARGV[5], 500, consumer)
  for _, p in ipairs(page) do held[p[1]] = true end
  if #page > 0 then from = '(' .. page[#page][1] end
until #page < 500
local i = 6
while i <= #ARGV do
  local id, key, op = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local ours = held[id]
  i = i + 3
  if op == 'park' then
    if ours then
      redis.call('XCLAIM', stream, group, 'parked', 0, id, 'IDLE', ARGV[i], 'RETRYCOUNT', ARGV[i + 1], 'JUSTID')
      redis.call('HSET', KEYS[3], id, ARGV[i + 2])
      redis.call('HDEL', KEYS[3], 'u:' .. id) -- it is in meta by now, and by the clock of whoever has parked it
    end
    answer[#answer + 1] = ours and 1 or 0
    i = i + 3
  else
    local followers = tonumber(ARGV[i])
    i = i + 1
    local added, refused = {}, nil
    for _ = 1, followers do
      local to, normal, count, order, words = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), ARGV[i + 3], tonumber(ARGV[i + 4])
      i = i + 5
      if ours and not refused then
        local target = KEYS[to]
        local letter = normal < 0 and redis.call('HGET', KEYS[count], order)
        if letter and #redis.call('XRANGE', target, letter, letter) == 0 then letter = false end
        -- A hot entry goes behind the customer's open ones, when there are any: order before speed.
        if normal > 0 and redis.call('HEXISTS', KEYS[count], order) == 1 then
          target, normal = KEYS[normal], 0
        end
        local ok = normal == -2 and letter or redis.pcall('XADD', target, '*', unpack(ARGV, i, i + words - 1))
        if type(ok) == 'table' then
          refused = ok.err
        elseif ok ~= letter then
          added[#added + 1] = {target, ok, count, order, normal, letter}
          if count > 0 and normal == 0 then redis.call('HINCRBY', KEYS[count], order, 1) end
        end
      end
      i = i + words
    end
    if refused then
      for _, f in ipairs(added) do
        redis.call('XDEL', f[1], f[2])
        if f[3] > 0 and f[5] == 0 and redis.call('HINCRBY', KEYS[f[3]], f[4], -1) <= 0 then redis.call('HDEL', KEYS[f[3]], f[4]) end
      end
      answer[#answer + 1] = refused
    elseif ours then
      finished[#finished + 1] = id
      for _, f in ipairs(added) do
        if f[5] < 0 then
          if f[6] then redis.call('XDEL', f[1], f[6]) end
          redis.call('HSET', KEYS[f[3]], f[4], f[2])
        end
      end
      if key ~= '' and redis.call('HINCRBY', KEYS[4], key, -1) <= 0 then redis.call('HDEL', KEYS[4], key) end
      answer[#answer + 1] = 1
    else
      answer[#answer + 1] = 0
    end
  end
end
if #finished > 0 then
  redis.call('XACK', stream, group, unpack(finished))
  redis.call('XDEL', stream, unpack(finished))
  redis.call('HDEL', KEYS[3], unpack(finished))
  for n, id in ipairs(finished) do finished[n] = 'u:' .. id end -- what claim.lua notes
  redis.call('HDEL', KEYS[3], unpack(finished))
  -- An entry that was damaged, trimmed or deleted was counted, and could not be taken off by its key.
  if redis.call('XLEN', stream) == 0 then redis.call('DEL', KEYS[4]) end
end
return answer
