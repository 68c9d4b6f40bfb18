-- What is known of a session: how far its partition has come, whose it is if it is open, and when it was closed if it was.
-- Nothing is said of it where less stands in the partition than was known to.
local function look(checkpoints, session, partition, known)
    local stored = redis.call('HGET', checkpoints, partition)
    local next = tonumber(string.match(stored or '0 0 0', '^%d+ %d+ (%d+)'))
    if next < tonumber(known) then return {stored, false, false} end
    return {stored, unpack(redis.call('HMGET', session, 'user', 'closed'))}
end
