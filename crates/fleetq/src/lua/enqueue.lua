-- Adds jobs, each under an id that is not live. For one alone there is `enqueue_one.lua`.
-- ARGV: per job: id, lane, delay in ms, body. The caller bounds their number.
-- Returns per job '+' or the letter of the place where that id is already.
if MODE == 'draining' then return redis.error_reply('FLEETQDRAINING the queue takes no new jobs') end
local ids = {}
for n = 1, #ARGV, 4 do
  ids[#ids + 1] = ARGV[n]
  local delay = tonumber(ARGV[n + 2])
  if not READY[ARGV[n + 1]] then
    return redis.error_reply('FLEETQBADARG there is no lane ' .. ARGV[n + 1])
  elseif not delay or delay < 0 then
    return redis.error_reply('FLEETQBADARG a delay of ' .. ARGV[n + 2] .. ' ms')
  end
end
local known = redis.call('HMGET', STATE, unpack(ids))
local awake = redis.call('LLEN', WAKE)

local results, bodies, records, seen = {}, {}, {}, {}
-- By lane.
local pushes, schedule = {}, {}
local soonest, now = nil, NOW .. ''
for n, id in ipairs(ids) do
  local lane, delay, body = ARGV[n * 4 - 2], tonumber(ARGV[n * 4 - 1]), ARGV[n * 4]
  if known[n] or seen[id] then
    results[n] = seen[id] or string.sub(known[n], 1, 1)
  else
    local place, due, into = 'r', now, pushes
    if delay > 0 then place, due, into = 's', whole(NOW + delay), schedule end
    seen[id] = place
    bodies[#bodies + 1] = id
    bodies[#bodies + 1] = body
    records[#records + 1] = id
    -- As pack() would write it.
    records[#records + 1] = place .. ' ' .. lane .. ' 0 0 0 ' .. now .. ' ' .. due .. ' '
    local list = into[lane] or {}
    into[lane] = list
    if delay > 0 then
      list[#list + 1] = due
      soonest = math.min(soonest or delay, delay)
    end
    list[#list + 1] = id
    results[n] = '+'
  end
end

local added, ready = #bodies / 2, 0
if added > 0 then
  -- The others were read above, and the jobs are written first of all.
  local wrong
  for lane in pairs(pushes) do wrong = wrong or wrong_kind('list', READY[lane]) end
  for lane in pairs(schedule) do wrong = wrong or wrong_kind('zset', SCHEDULED[lane]) end
  if wrong then return wrong end
  redis.call('HSET', JOBS, unpack(bodies))
  if not ABOUT[1] then redis.call('HSET', META, 'layout', LAYOUT) end
  redis.call('HSET', STATE, unpack(records))
  for lane, later in pairs(schedule) do redis.call('ZADD', SCHEDULED[lane], unpack(later)) end
  for lane, list in pairs(pushes) do
    redis.call('RPUSH', READY[lane], unpack(list))
    ready = ready + #list
  end
  if ready > 0 then wake(ready, awake) end
  -- Whoever is woken for the others may have no slot left to wait with.
  if soonest then wake_for_delay(soonest, awake + ready) end
end
-- Duplicates alone take no memory: a full Redis tells of them.
if added == 0 then redis.call('HDEL', META, '') end
count('enqueued', added)
count('duplicates', #ids - added)
return results
