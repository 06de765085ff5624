-- Finds out whether the user may run every command of every script, on every key of the queue, in
-- a way that leaves nothing behind: a script that met a missing right half-way would lose jobs.
-- KEYS: those of the queue, then one that holds nothing. ARGV: the type of each key of the queue.
-- Returns 1, or an error NOPERM that names what is missing. A full server, a replica and a key of a
-- wrong type are not its business.
local scratch = KEYS[#KEYS]
local missing = {}

-- The words of Redis 6.2 and 7.0, then those of later ones and of Valkey. Rights are looked at
-- before memory, the role of the server and types, so whatever else is answered is a yes.
local function refused(answer)
  if type(answer) ~= 'table' or not answer.err then return false end
  return string.find(answer.err, "can't run this command", 1, true)
    or string.find(answer.err, "can't access at least one of the keys", 1, true)
    or string.find(answer.err, 'ACL failure in script', 1, true)
end

local function try(command, key, ...)
  local answer
  if key then answer = redis.pcall(command, key, ...) else answer = redis.pcall(command) end
  if not refused(answer) then return end
  missing[#missing + 1] = key and key ~= scratch and command .. ' on ' .. key or command
end

-- First of all: without it something would be left behind.
try('DEL', scratch)
if #missing == 0 then
  try('TIME')
  try('TYPE', scratch)
  try('HINCRBY', scratch, 'a', 1)
  try('HSET', scratch, 'a', '1')
  try('HGET', scratch, 'a')
  try('HMGET', scratch, 'a')
  try('HGETALL', scratch)
  try('HEXISTS', scratch, 'a')
  try('HSCAN', scratch, '0')
  try('HDEL', scratch, 'a')
  redis.pcall('DEL', scratch)
  try('RPUSH', scratch, 'a')
  try('LPUSH', scratch, 'b')
  try('LLEN', scratch)
  try('LINDEX', scratch, 0)
  try('LRANGE', scratch, 0, -1)
  try('LSET', scratch, 0, 'c')
  try('LREM', scratch, 0, 'c')
  try('LTRIM', scratch, 0, 0)
  try('LPOP', scratch, 1)
  redis.pcall('DEL', scratch)
  try('ZADD', scratch, 1, 'a')
  try('ZCARD', scratch)
  try('ZSCORE', scratch, 'a')
  try('ZRANGE', scratch, 0, 0)
  try('ZREVRANGE', scratch, 0, 0)
  try('ZRANGEBYSCORE', scratch, 0, 1)
  try('ZREM', scratch, 'a')
  redis.pcall('DEL', scratch)
end

-- Reading and writing are rights of their own on a key. Nothing of ours has an empty name.
if #missing == 0 then
  for n = 1, #KEYS - 1 do
    if ARGV[n] == 'hash' then
      try('HGET', KEYS[n], '')
      try('HDEL', KEYS[n], '')
    elseif ARGV[n] == 'list' then
      try('LLEN', KEYS[n])
      try('LTRIM', KEYS[n], 0, -1)
    else
      try('ZCARD', KEYS[n])
      try('ZREM', KEYS[n], '')
    end
  end
end

if #missing == 0 then return 1 end
return redis.error_reply('NOPERM the user may not run ' .. table.concat(missing, ', '))
