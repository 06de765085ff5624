-- What is done with dead letters of one lane, oldest first, a bounded number in one call.
-- ARGV: verb, filter, text, lane, start, limit, until.
-- Verbs: redrive (back to the end of the lane, counts at zero), flush (forgotten), causes (told).
-- Filters: all; id (it is `text`); cause (it contains `text`, or how it died is `text`).
-- `until`: letters that died later are left alone, 0 for none of those there are: what comes back
-- while a long list is worked through is not met twice.
-- Returns { next start or -1, how many, until, { { how, cause }, ... } }.
local verb, filter, text, lane = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local start, limit, last = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
if last == 0 then
  last = NOW
  -- Letters that died before the clock was set back lie ahead of it.
  for _, each in ipairs(LANES) do
    last = math.max(last, tonumber(redis.call('ZRANGE', DEAD[each], -1, -1, 'WITHSCORES')[2]) or 0)
  end
end

local function failure(id)
  local _, how, json = noted(id)
  return how or '', cause_of(json)
end

local ids, more = {}, false
if filter == 'id' then
  if redis.call('ZSCORE', DEAD[lane], text) then ids[1] = text end
else
  -- By rank, which costs the same for every part.
  local found = redis.call('ZRANGE', DEAD[lane], start, start + limit - 1, 'WITHSCORES')
  for n = 1, #found, 2 do
    if tonumber(found[n + 1]) <= last then ids[#ids + 1] = found[n] end
  end
  more = #ids == limit
end

local wrong = wrong_kind('hash', JOBS, STATE, NOTES) or wrong_kind('list', READY[lane], WAKE)
if wrong then return wrong end
if verb ~= 'causes' then even_when_full() end
local moved, told = 0, {}
for _, id in ipairs(ids) do
  local how, cause = failure(id)
  if filter ~= 'cause' or how == text or string.find(cause, text, 1, true) then
    if verb == 'causes' then
      told[#told + 1] = { how, cause }
    elseif verb == 'flush' then
      redis.call('ZREM', DEAD[lane], id)
      redis.call('HDEL', JOBS, id)
      redis.call('HDEL', STATE, id)
      redis.call('HDEL', NOTES, id)
      moved = moved + 1
    else
      local job = parse(redis.call('HGET', STATE, id))
      -- A letter without a body or a record can only be looked at and flushed.
      if job and job.place == 'd' and redis.call('HEXISTS', JOBS, id) == 1 then
        redis.call('ZREM', DEAD[lane], id)
        redis.call('HDEL', NOTES, id)
        job.place, job.starts, job.attempts, job.ready = 'r', 0, 0, whole(NOW)
        redis.call('HSET', STATE, id, pack(job))
        redis.call('RPUSH', READY[job.lane], id)
        moved = moved + 1
      end
    end
  end
end
if verb == 'redrive' then
  count('redriven', moved)
  if moved > 0 then wake(moved) end
elseif verb == 'flush' then
  count('flushed', moved)
end
return { more and start + #ids - moved or -1, moved, last, told }
