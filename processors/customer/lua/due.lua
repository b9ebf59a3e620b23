-- Hands out customers who are to be judged again. KEYS: customers by when. ARGV: now in ms, when they are due once more
-- if nothing comes of it, most. Answers as note.lua; a customer who is forgotten is taken out.
local answers = {}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
	local h = redis.call('HMGET', key, 'l', 's', 'c')
	if h[1] then
		redis.call('ZADD', KEYS[1], ARGV[2], key)
		answers[#answers + 1] = { key, h[1], h[2] or '', h[3] or '', ARGV[2] }
	else
		redis.call('ZREM', KEYS[1], key)
	end
end
return answers
