-- Brings the keys of layout 1 to layout 2, a bounded number of jobs in one call. Stands alone.
-- Layout 1 had one sorted set each for scheduled, claimed and dead jobs, layout 2 has one a lane.
-- KEYS: those of a queue, then the three old sets. ARGV: limit.
-- Returns jobs that are still to be moved; the layout is noted with the last.
local META, STATE, limit = KEYS[1], KEYS[3], tonumber(ARGV[1])
local layout = redis.call('HGET', META, 'layout')
if layout ~= '1' then return 0 end
local LANE = { i = 0, u = 1, b = 2 }
local left = 0
for n, first in ipairs({ 8, 11, 14 }) do
  local old = KEYS[18 + n]
  local members = redis.call('ZRANGE', old, 0, limit - 1, 'WITHSCORES')
  for m = 1, #members, 2 do
    local id, score = members[m], members[m + 1]
    local record = redis.call('HGET', STATE, id)
    local lane = record and string.match(record, '^%a ([iub]) ') or 'b'
    redis.call('ZREM', old, id)
    redis.call('ZADD', KEYS[first + LANE[lane]], score, id)
  end
  left = left + redis.call('ZCARD', old)
end
if left == 0 then redis.call('HSET', META, 'layout', '2.0') end
return left
