-- One lease over one key (a hash: owner, token, until in ms). It never expires by itself, so
-- that the tokens keep rising. ARGV: verb, owner, token, ttl in ms.
-- acquire returns the token, or 0 when somebody else leads; renew and release return 1 or 0.
local verb, owner, token, ttl = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local clock = redis.call('TIME')
local now_us = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local now = math.floor(now_us / 1000)
local held = redis.call('HMGET', KEYS[1], 'owner', 'token', 'until')
local leads = (tonumber(held[3]) or 0) > now

-- A write that takes no memory goes first: a full Redis must not be without a leader.
redis.call('HDEL', KEYS[1], '')
if verb == 'acquire' then
  if leads and held[1] ~= owner then return 0 end
  local fresh = held[2]
  if not leads then
    fresh = string.format('%.0f', math.max((tonumber(held[2]) or 0) + 1, now_us))
  end
  redis.call('HSET', KEYS[1], 'owner', owner, 'token', fresh, 'until', string.format('%.0f', now + ttl))
  return tonumber(fresh)
end

-- An expired lease that nobody took since is still ours: the token alone decides.
if held[1] ~= owner or held[2] ~= token then return 0 end
if verb == 'renew' then
  redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + ttl))
else
  redis.call('HSET', KEYS[1], 'owner', '', 'until', '0')
end
return 1
