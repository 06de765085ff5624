-- Removes jobs whose id begins with a prefix, or is one of those that are named, a bounded number in
-- one call. ARGV: what, prefix, where, limit, then the ids, if any are named. What and where:
--   ready    lane's letter and start, "u 500": that part of a lane;
--   state    a cursor: jobs in every other place, their claims revoked;
--   history  a start: that part of the history.
-- Returns { next (-1 or '0': over), removed, claims among them, met in a lane, newest token }.
local wrong = wrong_kind('hash', JOBS, STATE, NOTES) or wrong_kind('list', READY.i, READY.u, READY.b, HISTORY, WAKE)
  or wrong_kind('zset', SCHEDULED.i, SCHEDULED.u, SCHEDULED.b, CLAIMED.i, CLAIMED.u, CLAIMED.b, DEAD.i, DEAD.u, DEAD.b)
if wrong then return wrong end
even_when_full()
local what, prefix, where, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local named = nil
for n = 5, #ARGV do
  named = named or {}
  named[ARGV[n]] = true
end

local function ours(id)
  if named then return named[id] or false end
  return string.sub(id, 1, #prefix) == prefix
end

-- Each step costs its own part of the list and one walk, however many are removed: the entries
-- are blanked where they stand, and no entry of ours is blank.
local function strip(list, start, is_ours)
  local part = redis.call('LRANGE', list, start, start + limit - 1)
  local found = {}
  for n, entry in ipairs(part) do
    if is_ours(entry) then
      found[#found + 1] = entry
      redis.call('LSET', list, start + n - 1, '')
    end
  end
  if #found > 0 then redis.call('LREM', list, 0, '') end
  local next_start = #part < limit and -1 or start + #part - #found
  return next_start, found
end

local function forget(ids)
  if #ids == 0 then return end
  redis.call('HDEL', JOBS, unpack(ids))
  redis.call('HDEL', STATE, unpack(ids))
  redis.call('HDEL', NOTES, unpack(ids))
end

if what == 'ready' then
  local lane, start = string.match(where, '^(%a) (%d+)$')
  local next_start, ids = strip(READY[lane], tonumber(start), ours)
  -- A stray copy of an id that lies elsewhere is dropped here, its job later.
  local gone = {}
  for _, id in ipairs(ids) do
    local job = parse(redis.call('HGET', STATE, id))
    if not job or job.place == 'r' then gone[#gone + 1] = id end
  end
  forget(gone)
  count('discarded', #gone)
  return { next_start, #gone, 0, 0, 0 }
end

if what == 'history' then
  -- An entry begins with its id.
  local next_start, lines = strip(HISTORY, tonumber(where), ours)
  return { next_start, #lines, 0, 0, 0 }
end

local scanned = redis.call('HSCAN', STATE, where, 'COUNT', limit)
local ids, claims, in_lane = {}, 0, 0
for n = 1, #scanned[2], 2 do
  local id, job = scanned[2][n], parse(scanned[2][n + 1])
  if ours(id) then
    if job and job.place == 'r' then
      in_lane = in_lane + 1
    else
      ids[#ids + 1] = id
      if job and job.place == 'c' then claims = claims + 1 end
    end
  end
end
for first = 1, #ids, 1000 do
  local some = { unpack(ids, first, math.min(first + 999, #ids)) }
  for _, lane in ipairs(LANES) do
    redis.call('ZREM', SCHEDULED[lane], unpack(some))
    redis.call('ZREM', CLAIMED[lane], unpack(some))
    redis.call('ZREM', DEAD[lane], unpack(some))
  end
  forget(some)
end
count('discarded', #ids)
wake_the_capped(claims)
-- Whoever holds a token that is not greater has lost its job, or was given it before this call.
local newest = math.max(tonumber(redis.call('HGET', META, 'token')) or 0, NOW_US)
return { scanned[1], #ids, claims, in_lane, newest }
