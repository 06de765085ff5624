-- Put in front of every script of a queue. What must stay true:
-- a job is in exactly one place, its state record says which, and every move is one script.
-- All keys come in KEYS, in the order of keys.rs, and lie in one hash slot; none is built here.
local META, SCHEDULED, CLAIMED, DEAD = KEYS[1], KEYS[5], KEYS[6], KEYS[7]
local JOBS, STATE, NOTES, HISTORY, WAKE = KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local READY = { i = KEYS[2], u = KEYS[3], b = KEYS[4] }
local LANES = { 'i', 'u', 'b' }

-- Time is Redis's alone. Microseconds stay below 2^53 until the year 2255, so doubles hold them.
local clock = redis.call('TIME')
local NOW_US = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local NOW = math.floor(NOW_US / 1000)

-- tostring() keeps 14 digits, a token has 16.
local function whole(number)
  return string.format('%.0f', number)
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
  return table.concat({
    job.place, job.lane, whole(job.starts), whole(job.attempts),
    job.token, job.enqueued, job.ready, job.worker,
  }, ' ')
end

local function count(counter, by)
  if by > 0 then redis.call('HINCRBY', META, counter, by) end
end

-- One token wakes one idle worker; a woken worker that leaves work behind wakes the next, so a
-- few tokens are enough however much arrives.
local WAKE_MAX = 16
local function wake(tokens)
  local room = WAKE_MAX - redis.call('LLEN', WAKE)
  for _ = 1, math.min(tokens, room) do redis.call('RPUSH', WAKE, '1') end
end

-- The last failure of a job: "at\nhow\nworker\n{json}".
local function note(id, how, worker, json)
  redis.call('HSET', NOTES, id, table.concat({ whole(NOW), how, worker, json }, '\n'))
end

-- Into the dead letters without a worker having said so. The job is in no other place any more.
local function bury(id, job, how, cause)
  job = job or {
    lane = 'b', starts = 0, attempts = 0, token = '0',
    enqueued = whole(NOW), ready = whole(NOW), worker = '',
  }
  job.place = 'd'
  redis.call('HSET', STATE, id, pack(job))
  redis.call('ZADD', DEAD, NOW, id)
  note(id, how, job.worker, cjson.encode({ cause = cause }))
  count('quarantined', 1)
end
