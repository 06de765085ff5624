-- Hands out ready jobs under a lease and a fencing token each, after those that became due.
-- ARGV: worker, limit, lease in ms, starts allowed, suspects wanted. With limit 0 it only passes a
-- wake-up on.
-- Returns { now in ms, jobs left that could be claimed, ms until the next is due or -1,
--   { id, state record, body, ... } }.
local worker, limit, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local starts_max, suspects = tonumber(ARGV[4]), tonumber(ARGV[5])

-- Of 13 jobs 8 come from the first lane, 4 from the second, 1 from the third; a turn whose lane
-- is empty goes to the first lane that is not. So none starves and none waits for nothing.
local PATTERN = 'iuiiuiibiuiiu'
local PROMOTE_MAX = 100
-- The most ids that one call takes from their lines.
local POPPED_MAX = 250
-- A call ends with the body that brings it here, so a reply has a mebibyte and one body at most. So
-- many bodies are read together, of jobs that are to be handed out: no more than that in vain.
local BYTES_MAX, READ_TOGETHER = 1024 * 1024, 8
-- A suspect is a job that has ended no run and has one start left: either it ends its process, or it
-- was beside one that does. Two of them in one process would both be lost for one's fault, so each
-- runs where no other does, and one that finds no such place asks again this much later (ms). Many
-- of them ask one after the other, so that however many there are, looking at them costs the same.
local SUSPECT_AGAIN, SUSPECTS_APART, SUSPECT_AGAIN_MAX = 250, 5, 60000

local _, _, wrong = promote(PROMOTE_MAX)
if wrong then return wrong end

-- What the queue gives out at all now: jobs that are ready, as far as mode, held lanes and cap allow.
-- A held lane counts as empty, so its turns go to the others.
local waiting = {}
local function open_now()
  local total = 0
  for _, lane in ipairs(LANES) do
    waiting[lane] = string.find(HELD, lane, 1, true) and 0 or redis.call('LLEN', READY[lane])
    total = total + waiting[lane]
  end
  if MODE == 'paused' then return 0 end
  return CAP and math.max(math.min(total, CAP - held()), 0) or total
end

local claims, claimed = {}, 0
local wanted = math.min(limit, open_now())
if wanted > 0 then
  wrong = wrong_kind('hash', STATE, JOBS, NOTES) or wrong_kind('list', WAKE)
  for _, lane in ipairs(LANES) do
    if waiting[lane] > 0 then wrong = wrong or wrong_kind('zset', CLAIMED[lane], DEAD[lane]) end
  end
  if wrong then return wrong end

  local meta = redis.call('HMGET', META, 'token', 'turn', 'reaped', 'put_off')
  local turn = tonumber(meta[2]) or 0
  -- Strictly increasing, and ahead of every token given out before Redis was emptied.
  local token = math.max((tonumber(meta[1]) or 0) + 1, NOW_US) - 1
  local expiry = whole(NOW + lease)
  local popped, bytes, put_off = 0, 0, nil

  -- Takes ids from the lanes in the order of their turns, so that whatever ends a call early takes no
  -- lane's share.
  local function pop_by_turns(most)
    local take, lanes = { i = 0, u = 0, b = 0 }, {}
    for n = 1, math.min(most, waiting.i + waiting.u + waiting.b) do
      local lane = string.sub(PATTERN, turn + 1, turn + 1)
      if take[lane] >= waiting[lane] then
        for _, other in ipairs(LANES) do
          if take[other] < waiting[other] then
            lane = other
            break
          end
        end
      end
      take[lane] = take[lane] + 1
      lanes[n] = lane
      turn = (turn + 1) % #PATTERN
    end

    local popped_of = {}
    for _, lane in ipairs(LANES) do
      if take[lane] > 0 then
        popped_of[lane] = redis.call('LPOP', READY[lane], take[lane])
        waiting[lane] = waiting[lane] - take[lane]
      end
    end
    local ids, used = {}, { i = 0, u = 0, b = 0 }
    for n, lane in ipairs(lanes) do
      used[lane] = used[lane] + 1
      ids[n] = popped_of[lane][used[lane]]
    end
    return ids
  end

  -- Once, as a rule. Again in the place of what was not handed out, up to a bound.
  while claimed < wanted and popped < POPPED_MAX and bytes < BYTES_MAX and waiting.i + waiting.u + waiting.b > 0 do
    local first_turn, ids = turn, nil
    local only = waiting.u + waiting.b == 0 and 'i' or waiting.i + waiting.b == 0 and 'u'
      or waiting.i + waiting.u == 0 and 'b'
    if only then
      -- Whoever's turn it is, the job is of this lane.
      ids = redis.call('LPOP', READY[only], math.min(wanted - claimed, waiting[only]))
      waiting[only] = waiting[only] - #ids
      turn = (turn + #ids) % #PATTERN
    else
      ids = pop_by_turns(wanted - claimed)
    end
    popped = popped + #ids

    local texts, taken = redis.call('HMGET', STATE, unpack(ids)), {}
    -- Those to be handed out, side by side: a table for each would cost a twentieth of a claim.
    local open_ids, open_at, open_lanes, open_starts, open_attempts, open_times = {}, {}, {}, {}, {}, {}
    for n, id in ipairs(ids) do
      local text = texts[n]
      -- Taken apart by hand, because a parsed record costs as much as all the rest of a claim.
      local lane, starts, attempts, times = string.match(text or '', '^r ([iub]) (%d+) (%d+) %d+ (%d+ %d+) ')
      local is_suspect = lane and starts + 0 > 0 and starts + 1 >= starts_max
      if not text then
        -- Nothing is known of this id but its place in the line: dropped.
        count('orphans', 1)
      elseif not lane and not parse(text) then
        bury(id, nil, 'broken', UNREADABLE, text)
      elseif not lane or taken[id] then
        -- Another place owns this job; the line held a stray copy of the id.
        count('orphans', 1)
      elseif is_suspect and suspects == 0 then
        put_off = math.max(NOW + SUSPECT_AGAIN, (put_off or tonumber(meta[4]) or 0) + SUSPECTS_APART)
        put_off = math.min(put_off, NOW + SUSPECT_AGAIN_MAX)
        redis.call('HSET', STATE, id, 's' .. string.sub(text, 2))
        -- In steps: whoever waits for them wakes for many of them.
        redis.call('ZADD', SCHEDULED[lane], whole(math.ceil(put_off / SUSPECT_AGAIN) * SUSPECT_AGAIN), id)
        taken[id] = true
      else
        if is_suspect then suspects = suspects - 1 end
        taken[id] = true
        local m = #open_ids + 1
        open_ids[m], open_at[m], open_lanes[m] = id, n, lane
        open_starts[m], open_attempts[m], open_times[m] = starts + 1, attempts, times
      end
    end

    local records, leases, bodies = {}, { i = {}, u = {}, b = {} }, {}
    for m, id in ipairs(open_ids) do
      local read = (m - 1) % READ_TOGETHER + 1
      if read == 1 then
        bodies = redis.call('HMGET', JOBS, unpack(open_ids, m, math.min(m + READ_TOGETHER - 1, #open_ids)))
      end
      local body = bodies[read]
      if not body then
        bury(id, parse(texts[open_at[m]]), 'broken', 'its body is gone')
      else
        token = token + 1
        local lane = open_lanes[m]
        local record = 'c ' .. lane .. ' ' .. open_starts[m] .. ' ' .. open_attempts[m] .. ' ' .. whole(token) .. ' ' .. open_times[m] .. ' ' .. worker
        records[#records + 1] = id
        records[#records + 1] = record
        local ends = leases[lane]
        ends[#ends + 1] = expiry
        ends[#ends + 1] = id
        claims[#claims + 1] = id
        claims[#claims + 1] = record
        claims[#claims + 1] = body
        claimed, bytes = claimed + 1, bytes + #body
      end
      if bytes >= BYTES_MAX then
        for later = #open_ids, m + 1, -1 do redis.call('LPUSH', READY[open_lanes[later]], open_ids[later]) end
        turn = (first_turn + open_at[m]) % #PATTERN
        break
      end
    end
    if #records > 0 then
      redis.call('HSET', STATE, unpack(records))
      for lane, ends in pairs(leases) do
        if #ends > 0 then redis.call('ZADD', CLAIMED[lane], unpack(ends)) end
      end
    end
  end
  redis.call('HSET', META, 'token', whole(token), 'turn', turn)
  if put_off then redis.call('HSET', META, 'put_off', whole(put_off)) end
  -- Without it a Redis that went away before the first reap would seem to have been there.
  if claimed > 0 and not meta[3] then redis.call('HSET', META, 'reaped', whole(NOW)) end
  count('claims', claimed)
end

-- Also what was put off has left its line, so it is counted anew.
local left, next_due = open_now(), -1
if left == 0 then
  -- Nobody needs waking any more: the tokens of jobs already taken would wake workers for nothing.
  redis.call('DEL', WAKE)
  local due = MODE ~= 'paused' and first_of(SCHEDULED)
  if due then next_due = math.max(due - NOW, 0) end
  -- Whoever passes a wake-up on may have taken the one that was meant for this; whoever has no slot
  -- left does not wait for it.
  if due and claimed == limit then
    even_when_full()
    wake_for_delay(next_due)
  end
elseif redis.call('LLEN', WAKE) == 0 then
  even_when_full()
  -- Of two that a worker passes on at its end, its own wait may yet take one along.
  wake(limit == 0 and 2 or 1)
end
return { NOW, left, next_due, claims }
