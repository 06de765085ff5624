-- Returns jobs whose lease ran out, quarantines those that started too often, promotes what is due.
-- ARGV: limit of each kind, starts allowed, silence in ms, grace in ms.
-- Returns { returned, quarantined, promoted, ms until the next is due or -1 }.
local limit, starts_max = tonumber(ARGV[1]), tonumber(ARGV[2])
local silence, grace = tonumber(ARGV[3]), tonumber(ARGV[4])
local returned, quarantined, promoted = 0, 0, 0

-- If nobody has reaped for a while, Redis was away or every worker was: holders of leases could
-- not renew and get a moment to do so. This errs towards a rescue that comes late by `grace`.
-- Where nobody ever reaped, nobody was away.
local meta = redis.call('HMGET', META, 'reaped', 'grace')
local last, grace_until = tonumber(meta[1]) or 0, tonumber(meta[2]) or 0
if last > 0 and NOW - last > silence and redis.call('ZCARD', CLAIMED) > 0 then
  grace_until = NOW + grace
  redis.call('HSET', META, 'reaped', whole(NOW), 'grace', whole(grace_until))
elseif math.abs(NOW - last) >= silence / 4 then
  redis.call('HSET', META, 'reaped', whole(NOW))
end
-- A clock set back must not stretch the grace.
if grace_until > NOW + grace then grace_until = 0 end

if NOW >= grace_until then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', CLAIMED, '-inf', NOW, 'LIMIT', 0, limit)) do
    redis.call('ZREM', CLAIMED, id)
    local text = redis.call('HGET', STATE, id)
    local job = parse(text)
    if not text or (job and job.place ~= 'c') then
      count('orphans', 1)
    elseif not job then
      bury(id, nil, 'broken', 'its state record cannot be read: ' .. text)
      quarantined = quarantined + 1
    elseif job.starts >= starts_max then
      bury(id, job, 'quarantined', 'started ' .. whole(job.starts) .. ' times and never settled')
      quarantined = quarantined + 1
    else
      job.place = 'r'
      redis.call('HSET', STATE, id, pack(job))
      note(id, 'lost', job.worker, cjson.encode({ cause = 'the lease ran out unsettled' }))
      -- The first time the worker is the likelier culprit, so the job keeps its turn. After
      -- that the job is: it goes to the back, where it delays nobody.
      redis.call(job.starts == 1 and 'LPUSH' or 'RPUSH', READY[job.lane], id)
      returned = returned + 1
    end
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', SCHEDULED, '-inf', NOW, 'LIMIT', 0, limit)) do
  redis.call('ZREM', SCHEDULED, id)
  local text = redis.call('HGET', STATE, id)
  local job = parse(text)
  if not text or (job and job.place ~= 's') then
    count('orphans', 1)
  elseif not job then
    bury(id, nil, 'broken', 'its state record cannot be read: ' .. text)
    quarantined = quarantined + 1
  else
    job.place = 'r'
    redis.call('HSET', STATE, id, pack(job))
    redis.call('RPUSH', READY[job.lane], id)
    promoted = promoted + 1
  end
end

count('returned', returned)
count('promoted', promoted)
if returned + promoted > 0 then wake(returned + promoted) end

local next_due = -1
local expiry = redis.call('ZRANGE', CLAIMED, 0, 0, 'WITHSCORES')[2]
local due = redis.call('ZRANGE', SCHEDULED, 0, 0, 'WITHSCORES')[2]
if expiry then next_due = math.max(tonumber(expiry), grace_until) - NOW end
if due and (next_due < 0 or tonumber(due) - NOW < next_due) then next_due = tonumber(due) - NOW end
if expiry or due then next_due = math.max(next_due, 0) end
return { returned, quarantined, promoted, next_due }
