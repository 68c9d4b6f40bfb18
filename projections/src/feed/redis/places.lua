-- Whether one text comes behind another, byte by byte whatever the server's language is.
local function is_greater(one, other)
    for i = 1, #one do
        local a, b = string.byte(one, i), string.byte(other, i) or -1
        if a ~= b then return a > b end
    end
    return false
end

-- Whether one place is newer than another: by time, and of one time by the text of the post.
local function is_newer(time, post, than_time, than_post)
    if time ~= than_time then return time > than_time end
    return is_greater(post, than_post)
end
