-- Brings a dead job back to the end of its lane, its counts at zero. ARGV: id.
-- Returns 1, or 0 when no dead job has that id.
local id = ARGV[1]
local job = parse(redis.call('HGET', STATE, id))
if not job or job.place ~= 'd' or redis.call('HEXISTS', JOBS, id) == 0 then return 0 end
redis.call('ZREM', DEAD, id)
redis.call('HDEL', NOTES, id)
job.place, job.starts, job.attempts, job.ready = 'r', 0, 0, whole(NOW)
redis.call('HSET', STATE, id, pack(job))
redis.call('RPUSH', READY[job.lane], id)
count('redriven', 1)
wake(1)
return 1
