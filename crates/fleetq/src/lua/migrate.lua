-- Brings what layout 1 had in other keys to layout 2, a bounded number of jobs in one call. Stands
-- alone. Also where the layout is noted already: a program of layout 1 that still ran has left
-- something in its own keys.
-- Layout 1 had one sorted set each for scheduled, claimed and dead jobs, layout 2 has one a lane.
-- KEYS: those of a queue, then the three old sets. ARGV: limit.
-- Returns jobs that are still to be moved; the layout is noted with the last.
local META, STATE, HISTORY, limit = KEYS[1], KEYS[3], KEYS[18], tonumber(ARGV[1])
local layout = redis.call('HGET', META, 'layout')
if layout and layout ~= '1' and string.match(layout, '^%d+') ~= '2' then return 0 end
-- Before the first write: what stops a script half-way loses jobs.
for n = 8, 21 do
  local found = n ~= 17 and n ~= 18 and redis.call('TYPE', KEYS[n]).ok or 'none'
  if found ~= 'zset' and found ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. KEYS[n] .. ' holds a ' .. found .. ' and should hold a zset')
  end
end
local LANE = { i = 0, u = 1, b = 2 }
local left = 0
for n, first in ipairs({ 8, 11, 14 }) do
  local old = KEYS[18 + n]
  local members = redis.call('ZRANGE', old, 0, limit - 1, 'WITHSCORES')
  for m = 1, #members, 2 do
    local id, score = members[m], members[m + 1]
    local record = redis.call('HGET', STATE, id)
    local place, lane = string.match(record or '', '^(%a) ([iub]) ')
    redis.call('ZREM', old, id)
    -- Whose record says that it is elsewhere is a stray copy. One that cannot be read is buried by
    -- whoever meets it next.
    if place == ({ 's', 'c', 'd' })[n] or record and not place then
      redis.call('ZADD', KEYS[first + LANE[lane or 'b']], score, id)
    end
  end
  left = left + redis.call('ZCARD', old)
end
if left == 0 and layout == '1' then
  -- Its entries have another form.
  redis.call('DEL', HISTORY)
  redis.call('HSET', META, 'layout', '2.0')
end
return left
