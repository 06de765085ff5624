-- Extends leases. ARGV: lease in ms, then per lease: id, token. The caller bounds their number.
-- Returns per lease 1, or 0 when the job is no longer held under that token.
local expiry = whole(NOW + tonumber(ARGV[1]))
local ids = {}
for n = 2, #ARGV, 2 do ids[#ids + 1] = ARGV[n] end
local texts = redis.call('HMGET', STATE, unpack(ids))

local results, scores = {}, { i = {}, u = {}, b = {} }
for n, id in ipairs(ids) do
  local job = parse(texts[n])
  if job and job.place == 'c' and job.token == ARGV[n * 2 + 1] then
    local ends = scores[job.lane]
    ends[#ends + 1] = expiry
    ends[#ends + 1] = id
    results[n] = 1
  else
    results[n] = 0
  end
end
local wrong = wrong_kind('zset', CLAIMED.i, CLAIMED.u, CLAIMED.b)
if wrong then return wrong end
even_when_full()
for lane, ends in pairs(scores) do
  if #ends > 0 then redis.call('ZADD', CLAIMED[lane], unpack(ends)) end
end
return results
