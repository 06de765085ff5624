-- Opens a queue: notes the layout of its keys, or tells the one that is there.
-- ARGV: the layout this program knows. Returns the layout found.
redis.call('HSETNX', META, 'layout', ARGV[1])
return tonumber(redis.call('HGET', META, 'layout')) or -1
