-- What is known of jobs. ARGV: 'ids', then ids; or 'dead', limit: the newest dead letters.
-- Returns { now, { { id, state record, body, note, due or expiry in ms or 0 }, ... } }.
local ids = {}
if ARGV[1] == 'dead' then
  local limit, newest = tonumber(ARGV[2]), {}
  for _, lane in ipairs(LANES) do
    local found = limit > 0 and redis.call('ZREVRANGE', DEAD[lane], 0, limit - 1, 'WITHSCORES') or {}
    for n = 1, #found, 2 do newest[#newest + 1] = { found[n], tonumber(found[n + 1]) } end
  end
  table.sort(newest, function(a, b)
    if a[2] ~= b[2] then return a[2] > b[2] end
    return a[1] > b[1]
  end)
  for n = 1, math.min(limit, #newest) do ids[n] = newest[n][1] end
else
  for n = 2, #ARGV do ids[#ids + 1] = ARGV[n] end
end

local found = {}
for _, id in ipairs(ids) do
  local text = redis.call('HGET', STATE, id)
  if text then
    local job = parse(text)
    local sets = job and ({ s = SCHEDULED, c = CLAIMED, d = DEAD })[job.place]
    local score = sets and redis.call('ZSCORE', sets[job.lane], id)
    found[#found + 1] = {
      id, text, redis.call('HGET', JOBS, id) or '', redis.call('HGET', NOTES, id) or '',
      score and tonumber(score) or 0,
    }
  end
end
return { NOW, found }
