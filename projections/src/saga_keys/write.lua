-- Which phase of a step a saga waits for, by its status.
local awaited = {RUNNING = 'open', COMPENSATING = 'undoing'}
local names = cjson.decode(ARGV[7])

local function saga_key(id) return prefix .. 'saga:' .. id end
local function steps_key(id) return saga_key(id) .. ':steps' end

local function load(id)
    local saga = redis.call('GET', steps_key(id))
    return saga and cjson.decode(saga)
end

local function current(saga)
    for _, step in ipairs(saga.steps) do
        if step.phase == awaited[saga.status] then
            return (names[saga.process] or {})[step.name] or step.name .. '_PENDING'
        end
    end
    return saga.status
end

local function save(id, saga)
    redis.call('SET', steps_key(id), cjson.encode(saga))
    redis.call('SET', saga_key(id), saga.process .. ':' .. current(saga))
end

local function turn(saga, name, phase)
    for _, step in ipairs(saga.steps) do
        if step.name == name then
            step.phase = phase
            return true
        end
    end
    return false
end

-- What is done to a saga that is open.
local change = {}

change['requested'] = function(saga, name, phase) table.insert(saga.steps, {name = name, phase = phase}) end

change['undo requested'] = function(saga, name, phase)
    if not turn(saga, name, phase) then table.insert(saga.steps, {name = name, phase = phase}) end
end

change['turned'] = turn

change['stands'] = function(saga, status, before)
    if before == '' or saga.status == before then saga.status = status end
end

for i = 8, #ARGV, 4 do
    local what, id, one, other = unpack(ARGV, i, i + 3)
    local saga = load(id)
    if what == 'started' and not saga then
        save(id, {process = one, status = other, steps = {}})
    elseif what == 'ended' then
        redis.call('DEL', saga_key(id), steps_key(id))
    elseif saga and change[what] then
        change[what](saga, one, other)
        save(id, saga)
    end
end
