-- Notes what is known of runs that may never be settled, for whoever finds their leases ended.
-- ARGV: how, note, then per run: id, token. Returns how many are still held under their token.
local ids = {}
for n = 3, #ARGV, 2 do ids[#ids + 1] = ARGV[n] end
local texts = redis.call('HMGET', STATE, unpack(ids))
local wrong = wrong_kind('hash', NOTES)
if wrong then return wrong end
even_when_full()
local noted_of = 0
for n, id in ipairs(ids) do
  local job = parse(texts[n])
  if job and job.place == 'c' and job.token == ARGV[n * 2 + 2] then
    note(id, ARGV[1], job.worker, ARGV[2])
    noted_of = noted_of + 1
  end
end
return noted_of
