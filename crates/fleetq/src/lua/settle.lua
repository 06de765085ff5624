-- Ends claims. ARGV: length of the history, then per claim: id, token, verb, delay in ms, note.
-- Verbs: done, retry, wait (a retry that counts no attempt), dead, give (give back; the start is not
-- counted). The caller bounds their number.
-- Returns per claim 1, or 0 when it is no longer held under that token: then nothing changes.
local history_max = tonumber(ARGV[1])
local ids = {}
for n = 2, #ARGV, 5 do ids[#ids + 1] = ARGV[n] end
local texts = redis.call('HMGET', STATE, unpack(ids))

local results, settled, done, history, woken = {}, {}, {}, {}, 0
local totals = { stale = 0, done = 0, retried = 0, died = 0, given_back = 0 }
-- An id that comes twice in one call is stale the second time.
local seen = {}

for n, id in ipairs(ids) do
  local at = n * 5 - 3
  local token, verb, delay, text = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4]
  local job = parse(texts[n])
  if not job or job.place ~= 'c' or job.token ~= token or seen[id] then
    totals.stale = totals.stale + 1
    results[n] = 0
  else
    seen[id] = true
    results[n] = 1
    settled[#settled + 1] = id
    if verb == 'done' then
      done[#done + 1] = id
    elseif verb == 'give' then
      -- To the front: it has waited longest, and nothing is wrong with it.
      job.place, job.starts = 'r', math.max(job.starts - 1, 0)
      redis.call('LPUSH', READY[job.lane], id)
      totals.given_back, woken = totals.given_back + 1, woken + 1
    else
      note(id, verb == 'dead' and 'dead' or 'failed', job.worker, text)
      if verb ~= 'wait' then job.attempts = job.attempts + 1 end
      if verb == 'dead' then
        job.place = 'd'
        redis.call('ZADD', DEAD, NOW, id)
        totals.died = totals.died + 1
      else
        -- Settled: the count of starts that nobody accounted for begins anew.
        job.starts, job.ready = 0, whole(NOW + delay)
        if delay > 0 then
          job.place = 's'
          redis.call('ZADD', SCHEDULED, NOW + delay, id)
        else
          job.place = 'r'
          redis.call('RPUSH', READY[job.lane], id)
          woken = woken + 1
        end
        totals.retried = totals.retried + 1
      end
    end
    if verb ~= 'done' then redis.call('HSET', STATE, id, pack(job)) end
    if history_max > 0 then
      history[#history + 1] = cjson.encode({
        id = id, how = verb, at = NOW, worker = job.worker, attempts = job.attempts,
      })
    end
  end
end

if #settled > 0 then redis.call('ZREM', CLAIMED, unpack(settled)) end
if #done > 0 then
  redis.call('HDEL', JOBS, unpack(done))
  redis.call('HDEL', STATE, unpack(done))
  redis.call('HDEL', NOTES, unpack(done))
  totals.done = #done
end
if #history > 0 then
  redis.call('LPUSH', HISTORY, unpack(history))
  redis.call('LTRIM', HISTORY, 0, history_max - 1)
end
if woken > 0 then wake(woken) end
for counter, by in pairs(totals) do count(counter, by) end
return results
