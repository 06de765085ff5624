-- Adds jobs, each under an id that is not live.
-- ARGV: layout, then per job: id, lane, delay in ms, body. The caller bounds their number.
-- Returns per job '+' or the letter of the place where that id is already.
local ids = {}
for n = 2, #ARGV, 4 do ids[#ids + 1] = ARGV[n] end
local known = redis.call('HMGET', STATE, unpack(ids))

local results, bodies, records, seen = {}, {}, {}, {}
local pushes, schedule = { i = {}, u = {}, b = {} }, {}
for n, id in ipairs(ids) do
  local lane, delay, body = ARGV[n * 4 - 1], tonumber(ARGV[n * 4]), ARGV[n * 4 + 1]
  if known[n] or seen[id] then
    results[n] = seen[id] or string.sub(known[n], 1, 1)
  else
    local due = whole(NOW + delay)
    local place = delay > 0 and 's' or 'r'
    local job = {
      place = place, lane = lane, starts = 0, attempts = 0, token = '0',
      enqueued = whole(NOW), ready = due, worker = '',
    }
    seen[id] = place
    bodies[#bodies + 1] = id
    bodies[#bodies + 1] = body
    records[#records + 1] = id
    records[#records + 1] = pack(job)
    if delay > 0 then
      schedule[#schedule + 1] = due
      schedule[#schedule + 1] = id
    else
      pushes[lane][#pushes[lane] + 1] = id
    end
    results[n] = '+'
  end
end

local added, ready = #bodies / 2, 0
if added > 0 then
  -- An emptied Redis has lost the layout as well; the first new job brings it back.
  redis.call('HSETNX', META, 'layout', ARGV[1])
  redis.call('HSET', JOBS, unpack(bodies))
  redis.call('HSET', STATE, unpack(records))
  if #schedule > 0 then redis.call('ZADD', SCHEDULED, unpack(schedule)) end
  for lane, list in pairs(pushes) do
    if #list > 0 then redis.call('RPUSH', READY[lane], unpack(list)) end
    ready = ready + #list
  end
  if ready > 0 then wake(ready) end
end
count('enqueued', added)
count('duplicates', #ids - added)
return results
