-- How often a workflow got stuck lately, as a copy of the table stuck_executions that vouches for itself for a while.
--
-- KEYS: 1 stuck executions by time, 2 those that recovered, 3 facts: newest, released, complete_until, reading.
-- ARGV: 1 what to do, 2 for how long a copy is good, 3 for how long anything is kept (microseconds), then by that:
--   record  execution, stuck_at, window   -> count    nothing: read the table
--   recover execution, recovered_at       -> 1                nothing: read the table, when somebody asks
--   count   window                        -> count    nothing: read the table
--   begin   reader                        -> now              the table is about to be read
--   load    reader, now, released, newest, number of stuck, then execution and time of each, stuck before recovered
--   clear
-- Times are microseconds since the epoch; a double holds them exactly until the year 2255.

local stuck, recovered, facts = KEYS[1], KEYS[2], KEYS[3]
local keeps = tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function text(number)
    return string.format('%.0f', number)
end

local function fact(name)
    return tonumber(redis.call('HGET', facts, name) or '-inf')
end

local function expire()
    for _, key in ipairs(KEYS) do
        redis.call('PEXPIRE', key, text(keeps / 1000))
    end
end

local function trim(newest)
    redis.call('ZREMRANGEBYSCORE', stuck, '-inf', text(newest - keeps))
    redis.call('ZREMRANGEBYSCORE', recovered, '-inf', text(newest - keeps))
end

local function count(window)
    local newest = fact('newest')
    if newest == -math.huge then
        return {0}
    end
    return {redis.call('ZCOUNT', stuck, '(' .. text(newest - window), text(newest))}
end

local what = ARGV[1]
if what == 'clear' then
    redis.call('DEL', stuck, recovered, facts)
    return {1}
end
if what == 'begin' then
    redis.call('HSET', facts, 'reading', ARGV[4])
    expire()
    return {text(now)}
end
if what == 'load' then
    if redis.call('HGET', facts, 'reading') ~= ARGV[4] then
        return {}
    end
    redis.call('DEL', stuck, recovered, facts)
    local last = 8 + 2 * tonumber(ARGV[8])
    for i = 9, #ARGV, 2 do
        redis.call('ZADD', i <= last and stuck or recovered, ARGV[i + 1], ARGV[i])
    end
    redis.call('HSET', facts, 'released', ARGV[6], 'newest', ARGV[7],
        'complete_until', text(tonumber(ARGV[5]) + tonumber(ARGV[2])))
    expire()
    return {1}
end

if now >= fact('complete_until') then
    -- Whoever reads the table now may have begun before this was written there.
    redis.call('HDEL', facts, 'reading')
    return {}
end
if what == 'record' then
    local stuck_at = tonumber(ARGV[5])
    if stuck_at > fact('released') then
        local newest = math.max(stuck_at, fact('newest'))
        redis.call('HSET', facts, 'newest', text(newest))
        if not redis.call('ZSCORE', recovered, ARGV[4]) then
            redis.call('ZADD', stuck, 'NX', ARGV[5], ARGV[4])
        end
        trim(newest)
    end
    expire()
    return count(tonumber(ARGV[6]))
end
if what == 'recover' then
    redis.call('ZREM', stuck, ARGV[4])
    redis.call('ZADD', recovered, ARGV[5], ARGV[4])
    expire()
    return {1}
end
return count(tonumber(ARGV[4]))
