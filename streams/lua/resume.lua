-- Ends the pause of a destination, and leaves for a day the name of who did. KEYS: hash. ARGV: by.
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'resumed_by', ARGV[1])
return redis.call('PEXPIRE', KEYS[1], 86400000)
