#!lua flags=no-writes
local open = {}
for _, session in ipairs(redis.call('SMEMBERS', KEYS[2])) do
    local shown = redis.call('HMGET', ARGV[2] .. session, 'created_at', 'refreshed_at', 'refresh_until', 'device')
    table.insert(open, {session, unpack(shown)})
end
return {redis.call('HGET', KEYS[1], ARGV[1]), open}
