-- A place is a time and a post; the newer of two of one time is the one with the greater text.
local kept, max, pushed_max = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local gone, pulled = prefix .. 'feed:gone', prefix .. 'feed:pulled'

local function of(user, what) return prefix .. 'user:' .. user .. ':' .. what end
local function post_key(post) return prefix .. 'post:' .. post end
-- Ids of those who are gone are kept for good, but nobody reads from here whose they are.
local function is_gone(user) return redis.call('SISMEMBER', gone, redis.sha1hex(user)) == 1 end
local function is_pulled(user) return redis.call('SISMEMBER', pulled, user) == 1 end

-- Of what stands behind this place a feed has not all; the place itself it has.
local function cut(user, time, post)
    local ended = redis.call('HMGET', of(user, 'feed:end'), 'time', 'post')
    if ended[1] and is_newer(tonumber(ended[1]), ended[2], tonumber(time), post) then return end
    redis.call('HSET', of(user, 'feed:end'), 'time', time, 'post', post)
end

local function trim(user)
    local feed = of(user, 'feed')
    local count = redis.call('ZCARD', feed)
    if count <= max then return end
    redis.call('ZREMRANGEBYRANK', feed, 0, count - kept - 1)
    local oldest = redis.call('ZRANGE', feed, 0, 0, 'WITHSCORES')
    cut(user, oldest[2], oldest[1])
end

-- A feed that many posts of a batch are pushed to is trimmed once, when all of it is done.
local grown = {}

local function push(user, post, time)
    redis.call('ZADD', of(user, 'feed'), time, post)
    grown[user] = true
end

local function publish(author, post, time)
    if redis.call('ZADD', of(author, 'posts'), 'NX', time, post) == 0 then return end
    redis.call('HSET', post_key(post), 'author_id', author, 'created_at', time)
    push(author, post, time)
    if is_pulled(author) then return end
    for _, follower in ipairs(redis.call('SMEMBERS', of(author, 'followers'))) do push(follower, post, time) end
end

-- Gives a feed the newest of an author, of whom it then lacks the older ones.
local function fill(user, author)
    local posts, added = redis.call('ZREVRANGE', of(author, 'posts'), 0, kept, 'WITHSCORES'), {}
    if #posts == 0 then return end
    for i = 1, math.min(#posts, 2 * kept), 2 do
        table.insert(added, posts[i + 1])
        table.insert(added, posts[i])
    end
    redis.call('ZADD', of(user, 'feed'), unpack(added))
    if #posts > 2 * kept then cut(user, added[#added - 1], added[#added]) end
    trim(user)
end

local change = {}

change['published'] = function(author, post, time)
    if not is_gone(author) then publish(author, post, time) end
end

change['drafted'] = function(author, post)
    if not is_gone(author) then redis.call('SADD', of(author, 'drafts'), post) end
end

change['draft published'] = function(author, post, time)
    if redis.call('SREM', of(author, 'drafts'), post) == 1 then publish(author, post, time) end
end

change['deleted'] = function(author, post)
    redis.call('SREM', of(author, 'drafts'), post)
    if redis.call('ZREM', of(author, 'posts'), post) == 0 then return end
    redis.call('DEL', post_key(post))
    redis.call('ZREM', of(author, 'feed'), post)
    if is_pulled(author) then return end
    for _, follower in ipairs(redis.call('SMEMBERS', of(author, 'followers'))) do
        redis.call('ZREM', of(follower, 'feed'), post)
    end
end

change['followed'] = function(follower, followee)
    if follower == followee or is_gone(follower) or is_gone(followee) then return end
    redis.call('SADD', of(follower, 'following'), followee)
    redis.call('SADD', of(followee, 'followers'), follower)
    if is_pulled(followee) then return end
    if redis.call('SCARD', of(followee, 'followers')) > pushed_max then
        redis.call('SADD', pulled, followee)
    else
        fill(follower, followee)
    end
end

change['unfollowed'] = function(follower, followee)
    if follower == followee then return end
    redis.call('SREM', of(follower, 'following'), followee)
    redis.call('SREM', of(followee, 'followers'), follower)
    local posts = redis.call('ZREVRANGE', of(followee, 'posts'), 0, max - 1)
    if #posts > 0 then redis.call('ZREM', of(follower, 'feed'), unpack(posts)) end
end

change['reserved'] = function(user, post, time)
    if not is_gone(user) then redis.call('ZADD', of(user, 'slots'), 'NX', time, post) end
end

change['vacated'] = function(user, post) redis.call('ZREM', of(user, 'slots'), post) end

-- Each edge and each post has cost a commit of its own before.
change['gone'] = function(user)
    redis.call('SADD', gone, redis.sha1hex(user))
    redis.call('SREM', pulled, user)
    for _, followee in ipairs(redis.call('SMEMBERS', of(user, 'following'))) do
        redis.call('SREM', of(followee, 'followers'), user)
    end
    for _, post in ipairs(redis.call('ZRANGE', of(user, 'posts'), 0, -1)) do redis.call('DEL', post_key(post)) end
    for _, what in ipairs({'feed', 'feed:end', 'slots', 'drafts', 'posts', 'followers', 'following'}) do
        redis.call('DEL', of(user, what))
    end
end

for i = 10, #ARGV, 4 do change[ARGV[i]](unpack(ARGV, i + 1, i + 3)) end
for user in pairs(grown) do trim(user) end
