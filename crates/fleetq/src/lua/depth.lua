-- How many jobs are where, at one moment. Touches the head of each lane, never the rest.
-- Returns { now, ready x3, since when the head of each lane waits x3 (0: empty), scheduled,
-- claimed, dead, counter names and values }.
local lengths, heads = {}, {}
for n, lane in ipairs(LANES) do
  lengths[n] = redis.call('LLEN', READY[lane])
  local head = redis.call('LINDEX', READY[lane], 0)
  local job = head and parse(redis.call('HGET', STATE, head))
  heads[n] = job and tonumber(job.ready) or 0
end
return {
  NOW, lengths, heads,
  redis.call('ZCARD', SCHEDULED), redis.call('ZCARD', CLAIMED), redis.call('ZCARD', DEAD),
  redis.call('HGETALL', META),
}
