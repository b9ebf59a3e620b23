-- Carries out what was judged of customers. KEYS: customers by when they are judged again, the intake stream, and each
-- customer. ARGV: now in ms, how long to remember in ms; for each customer: segments as they were judged from, segments
-- now, when to be judged again in ms (0: when something comes), number of news, the news as JSON.
-- A customer whose segments are not those that were judged from is judged again at once.
local due, intake = KEYS[1], KEYS[2]
local now, arg = ARGV[1], 3
for i = 3, #KEYS do
	local key, from, to, look, news = KEYS[i], ARGV[arg], ARGV[arg + 1], ARGV[arg + 2], tonumber(ARGV[arg + 3])
	arg = arg + 4
	if redis.call('HEXISTS', key, 'l') == 0 then
		redis.call('ZREM', due, key) -- forgotten
	elseif (redis.call('HGET', key, 's') or '') ~= from then
		redis.call('ZADD', due, now, key)
	else
		if from ~= to then
			for n = 0, news - 1 do redis.call('XADD', intake, '*', 'lead', ARGV[arg + n]) end
			redis.call('HSET', key, 's', to)
		end
		if look == '0' then redis.call('ZREM', due, key) else redis.call('ZADD', due, look, key) end
	end
	arg = arg + news
end
return 1
