-- Adds one job, if its id is not live: what `enqueue.lua` does with one, in half the time. Most calls
-- that add anything add one job, so this script stands alone and takes no more keys than it needs;
-- what it repeats of `head.lua` and of the other, a test holds against them.
-- KEYS: meta, jobs, state, wake, and the list of ready or the set of scheduled jobs that it joins.
-- ARGV: id, lane, delay in ms, body.
-- Returns '+' or the letter of the place where that id is already.
local META, JOBS, STATE, WAKE, INTO = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, lane, delay, body = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local call = redis.call

local about = call('HMGET', META, 'layout', 'mode')
local layout = about[1]
if layout and layout ~= '2.0' and string.match(layout, '^%d+') ~= '2' then
  return redis.error_reply('FLEETQLAYOUT ' .. layout)
end
if about[2] == 'draining' then
  return redis.error_reply('FLEETQDRAINING the queue takes no new jobs')
end

local known = call('HGET', STATE, id)
if known then
  -- A duplicate takes no memory: a full Redis tells of it.
  call('HDEL', META, '')
  call('HINCRBY', META, 'duplicates', 1)
  return string.sub(known, 1, 1)
end

-- Whatever is written is read before, and somebody else's value under its name ends the script
-- here; but for the jobs, which are written first.
local awake = call('LLEN', WAKE)
call(delay > 0 and 'ZCARD' or 'LLEN', INTO)
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
call('HSET', JOBS, id, body)
if not layout then call('HSET', META, 'layout', '2.0') end
if delay > 0 then
  local due = string.format('%.0f', now + delay)
  call('HSET', STATE, id, 's ' .. lane .. ' 0 0 0 ' .. now .. ' ' .. due .. ' ')
  call('ZADD', INTO, due, id)
else
  call('HSET', STATE, id, 'r ' .. lane .. ' 0 0 0 ' .. now .. ' ' .. now .. ' ')
  call('RPUSH', INTO, id)
end
-- As wake() and wake_for_delay() have it.
if awake < 16 and delay <= 2500 then call('RPUSH', WAKE, '1') end
call('HINCRBY', META, 'enqueued', 1)
return '+'
