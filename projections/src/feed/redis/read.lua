local prefix, user, count = ARGV[1], ARGV[2], tonumber(ARGV[5])
local after = ARGV[3] ~= '' and {time = tonumber(ARGV[3]), text = ARGV[3], post = ARGV[4]}
local stored = redis.call('HGETALL', KEYS[1])

local function of(whose, what) return prefix .. 'user:' .. whose .. ':' .. what end
local function newer(one, other) return is_newer(one.time, one.post, other.time, other.post) end

-- The newest of a set behind a place, up to the end: so many, unless there are no more.
local function newest(key, behind, ended, wanted)
    local found, passed = {}, 0
    local from, to = behind and behind.text or '+inf', ended and ended.text or '-inf'
    while #found < wanted do
        local part = redis.call('ZREVRANGEBYSCORE', key, from, to, 'WITHSCORES', 'LIMIT', passed, wanted)
        for i = 1, #part, 2 do
            local it = {time = tonumber(part[i + 1]), text = part[i + 1], post = part[i], key = key}
            local is_within = (not behind or newer(behind, it)) and not (ended and newer(ended, it))
            if is_within then table.insert(found, it) end
        end
        passed = passed + wanted
        if #part < 2 * wanted then break end
    end
    return found
end

-- Of so many places none is in a set whose newest stands behind the newest of so many others.
local function heads_of(keys, behind, ended)
    local sources = {}
    for _, key in ipairs(keys) do
        local head = newest(key, behind, ended, 1)
        if head[1] then table.insert(sources, {key = key, part = head, at = 1}) end
    end
    table.sort(sources, function(one, other) return newer(one.part[1], other.part[1]) end)
    for i = #sources, count + 1, -1 do sources[i] = nil end
    return sources
end

-- The newest of all sets, one after the other. Whoever has just given one moves behind those who have a newer one.
local function merged(keys, behind, ended)
    local sources, all = heads_of(keys, behind, ended), {}
    local at_once = math.ceil(count / math.max(#sources, 1))
    while #all < count and #sources > 0 do
        local source = sources[1]
        local given = source.part[source.at]
        table.insert(all, given)
        source.at = source.at + 1
        if source.at > #source.part then source.part, source.at = newest(source.key, given, ended, at_once), 1 end
        if #source.part == 0 then table.remove(sources, 1) end
        local i = 1
        while #source.part > 0 and sources[i + 1] do
            local next = sources[i + 1]
            if not newer(next.part[next.at], source.part[source.at]) then break end
            sources[i], sources[i + 1] = next, source
            i = i + 1
        end
    end
    return all
end

local function posts_of(authors)
    local keys = {}
    for _, author in ipairs(authors) do table.insert(keys, of(author, 'posts')) end
    return keys
end

local slots, own = of(user, 'slots'), of(user, 'posts')

-- Who wrote it, if it is shown in this feed. Whatever was left in a set is passed over here.
local function author_of(it)
    if it.key == slots then return not redis.call('ZSCORE', own, it.post) and user end
    local author = redis.call('HGET', prefix .. 'post:' .. it.post, 'author_id')
    local is_theirs = author == user or (author and redis.call('SISMEMBER', of(user, 'following'), author) == 1)
    return is_theirs and author
end

local ended = redis.call('HMGET', of(user, 'feed:end'), 'time', 'post')
ended = ended[1] and {time = tonumber(ended[1]), text = ended[1], post = ended[2]}
-- Behind its end a feed's set has not all, and all are merged from those of their authors.
local keys
if ended and after and not newer(after, ended) then
    ended = nil
    keys = posts_of(redis.call('SMEMBERS', of(user, 'following')))
    table.insert(keys, own)
else
    keys = posts_of(redis.call('SINTER', of(user, 'following'), prefix .. 'feed:pulled'))
    table.insert(keys, of(user, 'feed'))
end
table.insert(keys, slots)

local shown, places, last_post = {}, merged(keys, after, ended)
for _, it in ipairs(places) do
    local author = it.post ~= last_post and author_of(it)
    if author then
        table.insert(shown, {it.post, it.text, author})
        last_post = it.post
    end
end
-- More may come behind as many as were asked for, and behind what the set of the feed has.
local last = places[count] or ended
return {stored, shown, last and {last.post, last.text} or false}
