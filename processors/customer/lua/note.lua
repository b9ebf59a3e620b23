-- Notes marks of customers. KEYS: customers by when they were last heard of, customers by when they are judged again,
-- and for each mark the keys of its customer's contacts. ARGV: now in ms, how long to remember in ms, most bytes of
-- marks, most customers; for each mark: number of contacts, id, line, 1 for an enquiry, who it is.
-- Answers for each: key of the customer, marks, segments, who it is, when judged again.
-- A customer is a hash: l marks, s segments, c who it is, a further contacts. A further contact is a hash: is, the key of
-- the customer. Keys found there are in the same slot: all have the partition's tag.
local seen, due = KEYS[1], KEYS[2]
local now, keep, most, customers = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local answers, at, arg = {}, 3, 5
while arg <= #ARGV do
	local n, id, line, enquiry, who = tonumber(ARGV[arg]), ARGV[arg + 1], ARGV[arg + 2], ARGV[arg + 3], ARGV[arg + 4]
	arg = arg + 5
	local key, log, segments, known, further
	for i = at, at + n - 1 do
		local k = KEYS[i]
		local h = redis.call('HMGET', k, 'is', 'l', 's', 'c', 'a')
		if h[1] then
			k = h[1]
			h = redis.call('HMGET', k, 'is', 'l', 's', 'c', 'a')
		end
		if h[2] then
			key, log, segments, known, further = k, h[2], h[3], h[4], h[5]
			break
		end
	end
	if not key then
		key, log = KEYS[at], ''
		redis.call('DEL', key) -- may have led to a customer who is forgotten
	end
	for i = at, at + n - 1 do
		local k = KEYS[i]
		if k ~= key then
			local h = redis.call('HMGET', k, 'is', 'l')
			-- One who was known before the two were seen together stays a customer of their own.
			if h[1] ~= key and not h[2] and not (h[1] and redis.call('HEXISTS', h[1], 'l') == 1) then
				redis.call('HSET', k, 'is', key)
				further = (further and (further .. ' ') or '') .. k
				redis.call('HSET', key, 'a', further)
			end
			redis.call('PEXPIRE', k, keep)
		end
	end
	if not string.find(log, id .. ' ', 1, true) then
		log = log .. line
		if #log > most then
			local cut = string.find(log, '\n', #log - most, true)
			if cut and cut < #log then log = string.sub(log, cut + 1) end
		end
		redis.call('HSET', key, 'l', log)
	end
	if who ~= '' and (enquiry == '1' or not known) then
		known = who
		redis.call('HSET', key, 'c', who)
	end
	redis.call('PEXPIRE', key, keep)
	redis.call('ZADD', seen, now, key)
	answers[#answers + 1] = { key, log, segments or '', known or '', redis.call('ZSCORE', due, key) or '' }
	at = at + n
end
local over = redis.call('ZCARD', seen) - customers
if over > 0 then
	local gone = redis.call('ZPOPMIN', seen, math.min(over, 1000))
	for i = 1, #gone, 2 do
		for k in string.gmatch(redis.call('HGET', gone[i], 'a') or '', '%S+') do redis.call('DEL', k) end
		redis.call('DEL', gone[i])
		redis.call('ZREM', due, gone[i])
	end
end
return answers
