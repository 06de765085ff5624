-- Extends leases. ARGV: lease in ms, then per lease: id, token. The caller bounds their number.
-- Returns per lease 1, or 0 when the job is no longer held under that token.
local lease = tonumber(ARGV[1])
local ids = {}
for n = 2, #ARGV, 2 do ids[#ids + 1] = ARGV[n] end
local texts = redis.call('HMGET', STATE, unpack(ids))

local results, scores = {}, {}
for n, id in ipairs(ids) do
  local job = parse(texts[n])
  if job and job.place == 'c' and job.token == ARGV[n * 2 + 1] then
    scores[#scores + 1] = NOW + lease
    scores[#scores + 1] = id
    results[n] = 1
  else
    results[n] = 0
  end
end
if #scores > 0 then redis.call('ZADD', CLAIMED, unpack(scores)) end
return results
