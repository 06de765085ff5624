-- Ends claims. ARGV: length of the history, starts allowed, then per claim: id, token, verb, delay in
-- ms, note. The caller bounds their number.
-- Verbs: done, retry, wait (a retry that counts no attempt), dead, give (give back; the start is not
-- counted), crash (the start stays counted, and the last one is the end).
-- Returns per claim 1, or 0 when it is no longer held under that token: then nothing changes.
local history_max, starts_max = tonumber(ARGV[1]), tonumber(ARGV[2])
local ids = {}
for n = 3, #ARGV, 5 do
  ids[#ids + 1] = ARGV[n]
  local delay = tonumber(ARGV[n + 3])
  if not delay or delay < 0 then
    return redis.error_reply('FLEETQBADARG a delay of ' .. ARGV[n + 3] .. ' ms')
  end
end
local texts = redis.call('HMGET', STATE, unpack(ids))
local wrong = wrong_kind('hash', JOBS, NOTES) or wrong_kind('list', HISTORY, WAKE)
-- Of each that is held under the given token, its lane; an id that comes twice is stale the second
-- time. Not parsed: most are done, and then nothing else of the record matters.
local lanes, seen, looked_at = {}, {}, {}
for n, id in ipairs(ids) do
  local lane, token = string.match(texts[n] or '', '^c ([iub]) %d+ %d+ (%d+) %d+ %d+ ')
  local verb = ARGV[n * 5]
  lanes[n] = token == ARGV[n * 5 - 1] and not seen[id] and lane
  seen[id] = seen[id] or lanes[n]
  if lanes[n] and not looked_at[lane .. verb] then
    looked_at[lane .. verb] = true
    wrong = wrong or wrong_kind('zset', CLAIMED[lane])
    if verb ~= 'done' then
      wrong = wrong or wrong_kind('list', READY[lane]) or wrong_kind('zset', SCHEDULED[lane], DEAD[lane])
    end
  end
end
if wrong then return wrong end
even_when_full()

local results, done, history, woken, soonest = {}, {}, {}, 0, nil
local settled = { i = {}, u = {}, b = {} }
local totals = { stale = 0, done = 0, retried = 0, waited = 0, died = 0, given_back = 0, crashed = 0 }
local ended, now, given = 0, whole(NOW), {}

for n, id in ipairs(ids) do
  local at = n * 5 - 2
  local verb, delay, text = ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4]
  local lane = lanes[n]
  if not lane then
    totals.stale = totals.stale + 1
    results[n] = 0
  else
    results[n] = 1
    ended = ended + 1
    local of_lane = settled[lane]
    of_lane[#of_lane + 1] = id
    if n > #ids - history_max then
      history[#history + 1] = id .. '\n' .. verb .. '\n' .. now .. '\n' .. texts[n]
    end
    if verb == 'done' then
      done[#done + 1] = id
    else
      local job = parse(texts[n])
      if verb == 'give' then
        -- To the front: it has waited longest, and nothing is wrong with it.
        job.place, job.starts = 'r', math.max(job.starts - 1, 0)
        given[#given + 1] = { READY[lane], id }
        totals.given_back, woken = totals.given_back + 1, woken + 1
      elseif verb == 'crash' and job.starts >= starts_max then
        bury(id, job, 'quarantined', never_settled(job, cause_of(text)))
      elseif verb == 'crash' then
        -- To the back, where it delays nobody.
        job.place = 'r'
        note(id, 'crashed', job.worker, text)
        redis.call('RPUSH', READY[lane], id)
        totals.crashed, woken = totals.crashed + 1, woken + 1
      else
        note(id, verb == 'dead' and 'dead' or 'failed', job.worker, text)
        if verb ~= 'wait' then job.attempts = job.attempts + 1 end
        if verb == 'dead' then
          job.place = 'd'
          redis.call('ZADD', DEAD[lane], NOW, id)
          totals.died = totals.died + 1
        else
          -- Settled: the count of starts that nobody accounted for begins anew.
          job.starts, job.ready = 0, whole(NOW + delay)
          if delay > 0 then
            job.place = 's'
            redis.call('ZADD', SCHEDULED[lane], job.ready, id)
            soonest = math.min(soonest or delay, delay)
          else
            job.place = 'r'
            redis.call('RPUSH', READY[lane], id)
            woken = woken + 1
          end
          local total = verb == 'wait' and 'waited' or 'retried'
          totals[total] = totals[total] + 1
        end
      end
      if job.place ~= 'd' or verb == 'dead' then redis.call('HSET', STATE, id, pack(job)) end
    end
  end
end

-- The last first, so that they stand as they stood.
for n = #given, 1, -1 do redis.call('LPUSH', given[n][1], given[n][2]) end
for lane, gone in pairs(settled) do
  if #gone > 0 then redis.call('ZREM', CLAIMED[lane], unpack(gone)) end
end
if #done > 0 then
  redis.call('HDEL', JOBS, unpack(done))
  redis.call('HDEL', STATE, unpack(done))
  redis.call('HDEL', NOTES, unpack(done))
  totals.done = #done
  -- The pace: jobs done in each of the last 30 spans of 10 s, "span count" in a ring of fields.
  local span = math.floor(NOW / 10000)
  local field = 'pace' .. span % 30
  local of, so_far = string.match(redis.call('HGET', META, field) or '', '^(%d+) (%d+)$')
  local before = of == whole(span) and tonumber(so_far) or 0
  redis.call('HSET', META, field, whole(span) .. ' ' .. whole(before + #done))
end
if #history > 0 then
  redis.call('LPUSH', HISTORY, unpack(history))
  redis.call('LTRIM', HISTORY, 0, history_max - 1)
end
if woken > 0 then wake(woken) end
if soonest then wake_for_delay(soonest) end
wake_the_capped(ended)
for counter, by in pairs(totals) do count(counter, by) end
return results
