-- Follows `head.lua` in every script: the other keys, and the moves that several scripts share.
local CLAIMED = { i = KEYS[11], u = KEYS[12], b = KEYS[13] }
local DEAD = { i = KEYS[14], u = KEYS[15], b = KEYS[16] }
local NOTES, HISTORY = KEYS[17], KEYS[18]

-- Redis refuses the first write of a script that takes memory while it is full, and none after a
-- write that takes none. What moves or ends jobs must go on, else a full Redis could never empty.
local function even_when_full()
  redis.call('HDEL', META, '')
end

-- A state record: "place lane starts attempts token enqueued ready worker", times in ms.
-- place: r ready, s scheduled, c claimed, d dead. nil when the record cannot be read.
local function parse(text)
  if not text then return nil end
  local place, lane, starts, attempts, token, enqueued, ready, worker =
    string.match(text, '^([rscd]) ([iub]) (%d+) (%d+) (%d+) (%d+) (%d+) (.*)$')
  if not place then return nil end
  return {
    place = place, lane = lane, starts = tonumber(starts), attempts = tonumber(attempts),
    token = token, enqueued = enqueued, ready = ready, worker = worker,
  }
end

local function pack(job)
  return job.place .. ' ' .. job.lane .. ' ' .. job.starts .. ' ' .. job.attempts .. ' '
    .. job.token .. ' ' .. job.enqueued .. ' ' .. job.ready .. ' ' .. job.worker
end

local function held()
  return redis.call('ZCARD', CLAIMED.i) + redis.call('ZCARD', CLAIMED.u) + redis.call('ZCARD', CLAIMED.b)
end

-- Under a cap, workers with free slots wait until somebody else's job has ended.
local function wake_the_capped(ended)
  if CAP and ended > 0 then wake(ended) end
end

-- The last failure of a job: "at\nhow\nworker\n{json}".
local function note(id, how, worker, json)
  redis.call('HSET', NOTES, id, table.concat({ whole(NOW), how, worker, json }, '\n'))
end

-- The cause in a note's JSON; '' where there is none that can be read.
local function cause_of(json)
  local read, told = pcall(cjson.decode, json or '')
  return read and type(told) == 'table' and type(told.cause) == 'string' and told.cause or ''
end

-- What is noted of a job: when, how and the JSON; nil where nothing is.
local function noted(id)
  return string.match(redis.call('HGET', NOTES, id) or '', '^(%d+)\n([^\n]*)\n[^\n]*\n(.*)$')
end

local function never_settled(job, last)
  local cause = 'started ' .. job.starts .. ' times and never settled'
  return last ~= '' and cause .. '; the last time: ' .. last or cause
end

local UNREADABLE = 'its state record cannot be read'

-- Into the dead letters without a worker having said so. The job is in no other place any more.
-- What differs from job to job is no part of the cause: it comes behind it.
local function bury(id, job, how, cause, behind)
  job = job or {
    lane = 'b', starts = 0, attempts = 0, token = '0',
    enqueued = whole(NOW), ready = whole(NOW), worker = '',
  }
  job.place = 'd'
  redis.call('HSET', STATE, id, pack(job))
  redis.call('ZADD', DEAD[job.lane], NOW, id)
  note(id, how, job.worker, cjson.encode({ cause = cause, chain = behind and { behind } }))
  count('quarantined', 1)
end

-- Scheduled jobs that are due go to the end of their lane, up to `limit` of each lane. One that has
-- starts was put off by a claim: it goes back to the front, where it was.
-- Returns how many became due, how many records were too broken to, an error where nothing may be
-- written, and how many came back.
local function promote(limit)
  local promoted, quarantined, due, back = 0, 0, {}, {}
  for _, lane in ipairs(LANES) do
    due[lane] = redis.call('ZRANGEBYSCORE', SCHEDULED[lane], '-inf', NOW, 'LIMIT', 0, limit)
  end
  if #due.i + #due.u + #due.b == 0 then return 0, 0, nil, 0 end
  local wrong = wrong_kind('hash', STATE, NOTES) or wrong_kind('list', READY.i, READY.u, READY.b, WAKE)
    or wrong_kind('zset', DEAD.i, DEAD.u, DEAD.b)
  if wrong then return 0, 0, wrong, 0 end
  even_when_full()
  for _, lane in ipairs(LANES) do
    for _, id in ipairs(due[lane]) do
      redis.call('ZREM', SCHEDULED[lane], id)
      local text = redis.call('HGET', STATE, id)
      local job = parse(text)
      if not text or (job and job.place ~= 's') then
        count('orphans', 1)
      elseif not job then
        bury(id, nil, 'broken', UNREADABLE, text)
        quarantined = quarantined + 1
      else
        job.place = 'r'
        redis.call('HSET', STATE, id, pack(job))
        if job.starts > 0 then
          back[#back + 1] = { READY[job.lane], id }
        else
          redis.call('RPUSH', READY[job.lane], id)
          promoted = promoted + 1
        end
      end
    end
  end
  for n = #back, 1, -1 do redis.call('LPUSH', back[n][1], back[n][2]) end
  count('promoted', promoted)
  return promoted, quarantined, nil, #back
end

-- The lowest score of three sets, or nil.
local function first_of(sets)
  local first
  for _, lane in ipairs(LANES) do
    local score = tonumber(redis.call('ZRANGE', sets[lane], 0, 0, 'WITHSCORES')[2])
    if score and (not first or score < first) then first = score end
  end
  return first
end
