-- Hands out ready jobs under a lease and a fencing token each.
-- ARGV: worker, limit, lease in ms. With limit 0 it only passes a wake-up on.
-- Returns { now in ms, jobs left ready, { { id, token, lane, starts, attempts, enqueued, ready, body }, ... } }.
local worker, limit, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

-- Of 13 jobs 8 come from the first lane, 4 from the second, 1 from the third; a turn whose lane
-- is empty goes to the first lane that is not. So none starves and none waits for nothing.
local PATTERN = 'iuiiuiibiuiiu'

local waiting, total = {}, 0
for _, lane in ipairs(LANES) do
  waiting[lane] = redis.call('LLEN', READY[lane])
  total = total + waiting[lane]
end

local wanted = math.min(limit, total)
local claims = {}
if wanted > 0 then
  local meta = redis.call('HMGET', META, 'token', 'turn')
  local turn = tonumber(meta[2]) or 0
  local take = { i = 0, u = 0, b = 0 }
  for _ = 1, wanted do
    local lane = string.sub(PATTERN, turn + 1, turn + 1)
    if take[lane] >= waiting[lane] then
      for _, other in ipairs(LANES) do
        if take[other] < waiting[other] then
          lane = other
          break
        end
      end
    end
    take[lane] = take[lane] + 1
    turn = (turn + 1) % #PATTERN
  end

  local ids = {}
  for _, lane in ipairs(LANES) do
    if take[lane] > 0 then
      for _, id in ipairs(redis.call('LPOP', READY[lane], take[lane])) do ids[#ids + 1] = id end
    end
  end

  local texts = redis.call('HMGET', STATE, unpack(ids))
  local bodies = redis.call('HMGET', JOBS, unpack(ids))
  -- Strictly increasing, and ahead of every token given out before Redis was emptied.
  local token = math.max((tonumber(meta[1]) or 0) + 1, NOW_US) - 1
  local records, leases = {}, {}
  for n, id in ipairs(ids) do
    local job = parse(texts[n])
    if not texts[n] then
      -- Nothing is known of this id but its place in the line: dropped.
      count('orphans', 1)
    elseif not job then
      bury(id, nil, 'broken', 'its state record cannot be read: ' .. texts[n])
    elseif job.place ~= 'r' then
      -- Another place owns this job; the line held a stray copy of the id.
      count('orphans', 1)
    elseif not bodies[n] then
      bury(id, job, 'broken', 'its body is gone')
    else
      token = token + 1
      job.place, job.token, job.worker = 'c', whole(token), worker
      job.starts = job.starts + 1
      records[#records + 1] = id
      records[#records + 1] = pack(job)
      leases[#leases + 1] = NOW + lease
      leases[#leases + 1] = id
      claims[#claims + 1] = {
        id, job.token, job.lane, job.starts, job.attempts, job.enqueued, job.ready, bodies[n],
      }
    end
  end
  if #claims > 0 then
    redis.call('HSET', STATE, unpack(records))
    redis.call('ZADD', CLAIMED, unpack(leases))
    redis.call('HSET', META, 'token', whole(token), 'turn', turn)
    count('claims', #claims)
  end
end

local left = total - wanted
if left == 0 then
  -- Nobody needs waking any more: the tokens of jobs already taken would wake workers for nothing.
  redis.call('DEL', WAKE)
elseif redis.call('LLEN', WAKE) == 0 then
  wake(1)
end
return { NOW, left, claims }
