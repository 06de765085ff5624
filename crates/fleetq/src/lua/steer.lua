-- What the fleet is asked to do with the queue as a whole. ARGV: verb, value.
-- Verbs: pause, resume, drain; cap with a number, or 0 for none; hold with the letters of the lanes
-- that are not handed out, or with ''. Returns 1.
local verb, value = ARGV[1], tonumber(ARGV[2])
local wrong = wrong_kind('list', WAKE, READY.i, READY.u, READY.b) or wrong_kind('zset', SCHEDULED.i, SCHEDULED.u, SCHEDULED.b)
if wrong then return wrong end
even_when_full()
if not ABOUT[1] then redis.call('HSET', META, 'layout', LAYOUT) end
if verb == 'pause' then
  redis.call('HSET', META, 'mode', 'paused')
elseif verb == 'drain' then
  redis.call('HSET', META, 'mode', 'draining')
elseif verb == 'resume' then
  redis.call('HDEL', META, 'mode')
elseif verb == 'cap' and value > 0 then
  redis.call('HSET', META, 'cap', whole(value))
elseif verb == 'cap' then
  redis.call('HDEL', META, 'cap')
elseif verb == 'hold' and ARGV[2] ~= '' then
  redis.call('HSET', META, 'held', ARGV[2])
elseif verb == 'hold' then
  redis.call('HDEL', META, 'held')
end
-- What was done before tells nothing of the pace from here on.
redis.call('HSET', META, 'steered', whole(NOW))
local ready = 0
for _, lane in ipairs(LANES) do ready = ready + redis.call('LLEN', READY[lane]) end
if verb ~= 'pause' then
  -- Where only later jobs wait, one worker must learn when the next is due.
  wake(ready == 0 and first_of(SCHEDULED) and 1 or ready)
end
return 1
