-- A window is a hash of what is used of it and when it ends, in milliseconds since 1970. It goes when it is over.
local function clock(given)
    if given ~= '' then return tonumber(given) end
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Takes all of it or nothing: of each key a cost that comes with its limit. Says of each whether it fits, what is left, and
-- when all of it is there again.
local function take(keys, charges, now, length, takes)
    local after, all_fit = {}, true
    for i, key in ipairs(keys) do
        local window = redis.call('HMGET', key, 'used', 'ends')
        local used, ends = tonumber(window[1] or 0), tonumber(window[2] or 0)
        if ends <= now or used <= 0 then used, ends = 0, now + length end
        local limit, cost = tonumber(charges[2 * i - 1]), tonumber(charges[2 * i])
        local left = math.max(limit - used, 0)
        local fits = cost <= left
        all_fit = all_fit and fits
        after[i] = {fits and 1 or 0, fits and left - cost or left, ends, used + cost}
    end
    for i, key in ipairs(keys) do
        local used, ends = table.remove(after[i]), after[i][3]
        if all_fit and takes then
            redis.call('HSET', key, 'used', used, 'ends', string.format('%.0f', ends))
            redis.call('PEXPIRE', key, string.format('%.0f', ends - now))
        end
    end
    return after
end
