-- How many jobs are where, at one moment. Touches the head of each lane, never the rest.
-- Returns { now, per lane { ready, since when its head waits (0: empty), scheduled, claimed, dead },
-- counter names and values }.
local lanes = {}
for n, lane in ipairs(LANES) do
  local head = redis.call('LINDEX', READY[lane], 0)
  local job = head and parse(redis.call('HGET', STATE, head))
  lanes[n] = {
    redis.call('LLEN', READY[lane]), job and tonumber(job.ready) or 0,
    redis.call('ZCARD', SCHEDULED[lane]), redis.call('ZCARD', CLAIMED[lane]), redis.call('ZCARD', DEAD[lane]),
  }
end
return { NOW, lanes, redis.call('HGETALL', META) }
