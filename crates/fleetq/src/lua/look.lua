-- What is known of jobs. ARGV: 'dead', limit: the ids of the newest dead letters; or 'ids', then ids.
-- Returns the ids; or { how many ids were looked at, { { id, state record, body, note, due or expiry
-- in ms or 0 }, ... } }. Bodies and notes end a call early, so that a reply has a mebibyte and one job
-- at most.
local BYTES_MAX = 1024 * 1024
if ARGV[1] == 'dead' then
  local limit, newest, ids = tonumber(ARGV[2]), {}, {}
  for _, lane in ipairs(LANES) do
    local found = limit > 0 and redis.call('ZREVRANGE', DEAD[lane], 0, limit - 1, 'WITHSCORES') or {}
    for n = 1, #found, 2 do newest[#newest + 1] = { found[n], tonumber(found[n + 1]) } end
  end
  table.sort(newest, function(a, b)
    if a[2] ~= b[2] then return a[2] > b[2] end
    return a[1] > b[1]
  end)
  for n = 1, math.min(limit, #newest) do ids[n] = newest[n][1] end
  return ids
end

local looked_at, bytes, found = 0, 0, {}
for n = 2, #ARGV do
  local id = ARGV[n]
  local text = redis.call('HGET', STATE, id)
  if text then
    local job = parse(text)
    local sets = job and ({ s = SCHEDULED, c = CLAIMED, d = DEAD })[job.place]
    local score = sets and redis.call('ZSCORE', sets[job.lane], id)
    local body, noted_of = redis.call('HGET', JOBS, id) or '', redis.call('HGET', NOTES, id) or ''
    found[#found + 1] = { id, text, body, noted_of, score and tonumber(score) or 0 }
    bytes = bytes + #body + #noted_of
  end
  looked_at = looked_at + 1
  if bytes >= BYTES_MAX then break end
end
return { looked_at, found }
