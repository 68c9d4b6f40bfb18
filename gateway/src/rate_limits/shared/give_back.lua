#!lua
for i, key in ipairs(KEYS) do
    local ends, cost = ARGV[2 * i - 1], tonumber(ARGV[2 * i])
    local window = redis.call('HMGET', key, 'used', 'ends')
    if window[2] == ends then redis.call('HSET', key, 'used', math.max(tonumber(window[1]) - cost, 0)) end
end
