#!lua flags=allow-oom
-- Notes a partition's epoch and the run of the server that holds it. KEYS: epoch, run. ARGV: epoch, run.
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2])
return 1
