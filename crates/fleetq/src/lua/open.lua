-- Looks whether this program can use the queue; the head of every script refuses a layout that is
-- not its own. Returns the layout found, '' where there is none yet. Writes nothing, so that a full
-- or read-only server can still be looked at; but with 'write' in ARGV it notes the layout, as the
-- first job would.
if ARGV[1] == 'write' then redis.call('HSET', META, 'layout', ABOUT[1] or LAYOUT) end
return ABOUT[1] or ''
