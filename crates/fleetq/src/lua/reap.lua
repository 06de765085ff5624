-- Returns jobs whose lease ran out, quarantines those that started too often, promotes what is due.
-- ARGV: limit of each kind and lane, starts allowed, silence in ms, grace in ms, lease in ms.
-- Returns { returned, quarantined, promoted, ms until the next is due or -1, ms that the clock was
-- set back since the last call or 0 }.
local limit, starts_max = tonumber(ARGV[1]), tonumber(ARGV[2])
local silence, grace, lease = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local returned, quarantined = 0, 0
local wrong = wrong_kind('hash', STATE, NOTES) or wrong_kind('list', READY.i, READY.u, READY.b, WAKE)
  or wrong_kind('zset', SCHEDULED.i, SCHEDULED.u, SCHEDULED.b, CLAIMED.i, CLAIMED.u, CLAIMED.b, DEAD.i, DEAD.u, DEAD.b)
if wrong then return wrong end
even_when_full()

-- If nobody has reaped for a while, Redis was away or every worker was: holders of leases could
-- not renew and get a moment to do so. This errs towards a rescue that comes late by `grace`.
-- The first claim of all begins the watch. A grace is not begun anew before a reap has seen its
-- end: where reaps are always far apart, nothing would ever be rescued.
local meta = redis.call('HMGET', META, 'reaped', 'grace', 'pull')
local last, grace_until, pull = tonumber(meta[1]) or 0, tonumber(meta[2]) or 0, meta[3]
-- A clock set back must not stretch the grace.
if grace_until > NOW + grace then grace_until = 0 end
if last > 0 and NOW - last > silence and grace_until <= last and held() > 0 then
  grace_until = NOW + grace
  redis.call('HSET', META, 'reaped', whole(NOW), 'grace', whole(grace_until))
elseif math.abs(NOW - last) >= silence / 4 then
  redis.call('HSET', META, 'reaped', whole(NOW))
end

-- Nor the leases: those given out before end too late by as much. Holders renew theirs by
-- themselves; what nobody renews is pulled to one lease from now, over as many calls as it takes.
local set_back = last > NOW + 1000 and last - NOW or 0
if set_back > 0 then
  redis.call('HSET', META, 'pull', '1')
  count('clock_set_back', 1)
  pull = '1'
end
if pull then
  local pulled = 0
  for _, lane in ipairs(LANES) do
    local far = '(' .. whole(NOW + lease)
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', CLAIMED[lane], far, '+inf', 'LIMIT', 0, limit)) do
      redis.call('ZADD', CLAIMED[lane], whole(NOW + lease), id)
      pulled = pulled + 1
    end
  end
  if pulled == 0 and limit > 0 then redis.call('HDEL', META, 'pull') end
end

if NOW >= grace_until then
  for _, lane in ipairs(LANES) do
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', CLAIMED[lane], '-inf', NOW, 'LIMIT', 0, limit)) do
      redis.call('ZREM', CLAIMED[lane], id)
      local text = redis.call('HGET', STATE, id)
      local job = parse(text)
      if not text or (job and job.place ~= 'c') then
        count('orphans', 1)
      elseif not job then
        bury(id, nil, 'broken', UNREADABLE, text)
        quarantined = quarantined + 1
      else
        -- Noted since the claim, whose time the token is, a time limit is about this run.
        local at, how, json = noted(id)
        local of_this_run = how == 'over-limit' and tonumber(at) >= math.floor(tonumber(job.token) / 1000)
        local last = of_this_run and cause_of(json) or ''
        if job.starts >= starts_max then
          bury(id, job, 'quarantined', never_settled(job, last))
          quarantined = quarantined + 1
        else
          job.place = 'r'
          redis.call('HSET', STATE, id, pack(job))
          local cause = last ~= '' and last or 'the lease ran out unsettled'
          note(id, 'lost', job.worker, cjson.encode({ cause = cause }))
          -- The first time the worker is the likelier culprit, so the job keeps its turn. After
          -- that the job is: it goes to the back, where it delays nobody.
          redis.call(job.starts == 1 and 'LPUSH' or 'RPUSH', READY[job.lane], id)
          returned = returned + 1
        end
      end
    end
  end
end

local promoted, broken, _, back = promote(limit)
quarantined = quarantined + broken
count('returned', returned)
if returned + promoted + back > 0 then wake(returned + promoted + back) end
wake_the_capped(quarantined)

local next_due = -1
local expiry, due = first_of(CLAIMED), first_of(SCHEDULED)
if expiry then next_due = math.max(expiry, grace_until, NOW) - NOW end
if due and (next_due < 0 or due - NOW < next_due) then next_due = due - NOW end
if expiry or due then next_due = math.max(next_due, 0) end
return { returned, quarantined, promoted, next_due, set_back }
