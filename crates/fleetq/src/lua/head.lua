-- Put in front of every script of a queue. What must stay true:
-- a job is in exactly one place, its state record says which, and every move is one script.
-- All keys come in KEYS, in the order of keys.rs, and lie in one hash slot; none is built here.
-- A script that cannot be carried out as a whole is refused before its first write.
-- It is kept short: each call pays for what stands here.
local META, JOBS, STATE, WAKE = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local READY = { i = KEYS[5], u = KEYS[6], b = KEYS[7] }
local SCHEDULED = { i = KEYS[8], u = KEYS[9], b = KEYS[10] }
local LANES = { 'i', 'u', 'b' }

-- Another program may have opened the queue since, with another layout of its keys. None is noted
-- after Redis was emptied: the first new job brings it back.
local ABOUT = redis.call('HMGET', META, 'layout', 'mode', 'cap', 'held')
local LAYOUT = '2.0'
if ABOUT[1] and ABOUT[1] ~= LAYOUT and string.match(ABOUT[1], '^%d+') ~= '2' then
  return redis.error_reply('FLEETQLAYOUT ' .. ABOUT[1])
end
-- What was asked of the queue as a whole: 'paused', 'draining' or nothing, and how many of its jobs
-- the fleet may hold at once, and the letters of the lanes that are not handed out.
local MODE, CAP, HELD = ABOUT[2], tonumber(ABOUT[3]), ABOUT[4] or ''

-- Somebody else's value under one of our names would stop a script half-way. What a script writes
-- and has not read before, it looks at with this before its first write.
local function wrong_kind(kind, ...)
  for n = 1, select('#', ...) do
    local key = select(n, ...)
    local found = redis.call('TYPE', key).ok
    if found ~= kind and found ~= 'none' then
      return redis.error_reply('WRONGTYPE ' .. key .. ' holds a ' .. found .. ' and should hold a ' .. kind)
    end
  end
end

-- Time is Redis's alone. Microseconds stay below 2^53 until the year 2255, so doubles hold them.
local clock = redis.call('TIME')
local NOW_US = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local NOW = math.floor(NOW_US / 1000)

-- Lua writes 14 digits of a number by itself: enough for counts and for times in ms, too few for a
-- token.
local function whole(number)
  return string.format('%.0f', number)
end

local function count(counter, by)
  if by > 0 then redis.call('HINCRBY', META, counter, by) end
end

-- One token wakes one idle worker; a woken worker that leaves work behind wakes the next, so a
-- few tokens are enough however much arrives.
local WAKE_MAX = 16
local function wake(tokens, there)
  local room = WAKE_MAX - (there or redis.call('LLEN', WAKE))
  for _ = 1, math.min(tokens, room) do redis.call('RPUSH', WAKE, '1') end
end

-- An idle worker looks for itself every 2 s and learns what is due until it looks again. Of what is
-- due before that, somebody must be told.
local LOOKS_AGAIN = 2500
local function wake_for_delay(delay, there)
  if delay <= LOOKS_AGAIN then wake(1, there) end
end
