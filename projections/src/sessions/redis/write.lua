-- Times are microseconds and stay text; where they are reckoned with, numbers are exact beyond the year 2200.
local newest, kept, forgotten_max = ARGV[7], ARGV[8], ARGV[9]
local times, closed = prefix .. 'times', prefix .. 'closed:' .. partition

local function session_key(session) return prefix .. 'session:' .. session end
local function sessions_of(user) return prefix .. 'user:' .. user .. ':sessions' end

local function close(user, session, at)
    redis.call('SREM', sessions_of(user), session)
    redis.call('DEL', session_key(session))
    redis.call('HSET', session_key(session), 'closed', at)
    redis.call('ZADD', closed, at, session)
end

local change = {}

change['opened'] = function(user, session, at, refresh_until, device)
    local key = session_key(session)
    redis.call('DEL', key)
    redis.call('HSET', key, 'user', user, 'created_at', at, 'refreshed_at', at)
    if refresh_until ~= '' then redis.call('HSET', key, 'refresh_until', refresh_until) end
    if device ~= '' then redis.call('HSET', key, 'device', device) end
    redis.call('SADD', sessions_of(user), session)
    redis.call('ZREM', closed, session)
end

change['refreshed'] = function(user, session, at, refresh_until)
    if redis.call('SISMEMBER', sessions_of(user), session) == 1 then
        redis.call('HSET', session_key(session), 'refreshed_at', at, 'refresh_until', refresh_until)
    end
end

change['closed'] = close

change['all closed'] = function(user, _, at)
    for _, session in ipairs(redis.call('SMEMBERS', sessions_of(user))) do close(user, session, at) end
end

change['unreadable'] = function(user)
    for _, session in ipairs(redis.call('SMEMBERS', sessions_of(user))) do
        redis.call('HDEL', session_key(session), 'device')
    end
end

for i = 10, #ARGV, 6 do change[ARGV[i]](unpack(ARGV, i + 1, i + 5)) end

if newest ~= '' then
    local now = math.max(tonumber(newest), tonumber(redis.call('HGET', times, partition) or newest))
    redis.call('HSET', times, partition, string.format('%.0f', now))
    local before = string.format('(%.0f', now - kept)
    for _, session in ipairs(redis.call('ZRANGEBYSCORE', closed, '-inf', before, 'LIMIT', 0, forgotten_max)) do
        redis.call('ZREM', closed, session)
        redis.call('DEL', session_key(session))
    end
end
