-- What is known of jobs. ARGV: 'ids', then ids; or 'dead', limit: the newest dead letters.
-- Returns { now, { { id, state record, body, note, due or expiry in ms or 0 }, ... } }.
local ids = {}
if ARGV[1] == 'dead' then
  local limit = tonumber(ARGV[2])
  if limit > 0 then ids = redis.call('ZREVRANGE', DEAD, 0, limit - 1) end
else
  for n = 2, #ARGV do ids[#ids + 1] = ARGV[n] end
end

local found = {}
for _, id in ipairs(ids) do
  local text = redis.call('HGET', STATE, id)
  if text then
    local place = string.sub(text, 1, 1)
    local set = ({ s = SCHEDULED, c = CLAIMED, d = DEAD })[place]
    local score = set and redis.call('ZSCORE', set, id)
    found[#found + 1] = {
      id, text, redis.call('HGET', JOBS, id) or '', redis.call('HGET', NOTES, id) or '',
      score and tonumber(score) or 0,
    }
  end
end
return { NOW, found }
