-- The twin of moorage's pure rules (domain/*.py), for commands over keys that many callers share:
-- what they decide, Redis decides in one script call. It reads and writes the bytes of
-- domain/codec.py, and its answers and bytes are the model's, to the last bit: a test compares them.
--
-- KEYS: every key that the commands name, once. ARGV: the time (0: the server's clock), then for
-- each command which keys are its (two bytes each; none says all), how often it is to be done, and
-- the command itself (one packed string; its first byte says which). The reply has one item for
-- each time.
--
-- Laws:
--  1. States are read, then the time; all that changed is written at the end, or nothing.
--  2. A command that cannot be done is answered {-1, why}, with the bytes that are no state if they
--     were found to be none, and their key if it is known, and changes nothing. The others are done.
--  3. Numbers are doubles. All that is stored is below 2^53; a product that may be larger is only
--     compared with what is far smaller, or taken apart first; times are subtracted before they
--     are added.
--  4. No table that was read is changed: a changed state is a new table.
--  5. What a calm service and an orderly queue need stands first; other functions are made when they
--     are first needed.

local KEYS, ARGV, pcall, error, type, unpack = KEYS, ARGV, pcall, error, type, unpack
local byte, char, sub, concat = string.byte, string.char, string.sub, table.concat
local pack, unpack_from = struct.pack, struct.unpack
local abs, floor, ceil, max, min = math.abs, math.floor, math.ceil, math.max, math.min

local VERSION = 1
local SMALL_STEP = 2000000
local DAY = 86400000000
local FOREVER = 36500 * DAY
local GO, LIMITED = 0, 3
local ONE_RUN = '\145\153'
local MARGIN = 1000 -- milliseconds that Redis keeps what could be forgotten already

local THREE, SIX, SEVEN = '<BBi8i8i8', '<BBi8i8i8i8i8i8', '<BBi8i8i8i8i8i8i8'
local THREE_REST, SIX_REST, SEVEN_REST = THREE .. 'c0', SIX .. 'c0', SEVEN .. 'c0'

local stored, cells, changed, lasting = {}, {}, {}, {}
for i = 1, #KEYS do
  stored[i] = redis.pcall('GET', KEYS[i])
end
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

-- A state is a table of its first numbers, with the packed others as `rest`, or, once they were
-- looked at, unpacked as `runs`, `record` or `claim`. A missing one is false.

local function load(i, count)
  local state = cells[i]
  if state == nil then
    local bytes = stored[i]
    if not bytes then
      cells[i] = false
      return false
    end
    if type(bytes) == 'table' then
      error({ -1, bytes.err, '', KEYS[i] })
    end
    local version, numbers, rest = byte(bytes, 1, 2)
    if version ~= VERSION or numbers ~= count or #bytes < 2 + 8 * count then
      error({ -1, 'unreadable', bytes, KEYS[i] })
    end
    local one, two, three, four, five, six, seven
    if count == 7 then
      version, numbers, one, two, three, four, five, six, seven, rest = unpack_from(SEVEN, bytes)
      state = { one, two, three, four, five, six, seven, rest = sub(bytes, rest) }
    elseif count == 6 then
      version, numbers, one, two, three, four, five, six, rest = unpack_from(SIX, bytes)
      state = { one, two, three, four, five, six, rest = sub(bytes, rest) }
    else
      version, numbers, one, two, three, rest = unpack_from(THREE, bytes)
      state = { one, two, three, rest = sub(bytes, rest) }
    end
    cells[i] = state
  elseif state and #state ~= count then
    error({ -1, 'unreadable', '', KEYS[i] })
  end
  return state
end

local rest_of

local function packed_state(state)
  local rest = state.rest
  if state.runs then
    rest = cmsgpack.pack(state.runs) .. (state.shape or '')
  elseif not rest or state.record or state.claim then
    rest = rest_of(state)
  end
  local s = state
  if s[7] then
    return pack(SEVEN_REST, VERSION, 7, s[1], s[2], s[3], s[4], s[5], s[6], s[7], rest)
  elseif s[6] then
    return pack(SIX_REST, VERSION, 6, s[1], s[2], s[3], s[4], s[5], s[6], rest)
  end
  return pack(THREE_REST, VERSION, 3, s[1], s[2], s[3], rest)
end

local full

-- --- fast path of an admission: as TokenBucket.fast_grant, CalendarQuota, CircuitRule.fast_admit -

local function admission(blob, keys)
  local _, flags, limits, within, lease, token, at = unpack_from('<BBBi8i8i8', blob)
  local key, circuit, budget, claim, fence, target = 0, nil, nil, nil, nil, nil
  if flags % 8 >= 4 then
    -- The rest of it is read when it is needed.
    key, circuit = 1, { key = keys[1], timed = byte(blob, at) == 1, at = at }
    circuit.grid, circuit.calm, at = unpack_from('<i8Bc0', blob, at + 42)
  end
  local rules = {}
  for i = 1, limits do
    local kind, n, price, room, refill, shape, cost
    kind, n, price, room, refill, shape, cost, at = unpack_from('<Bi8i8i8i8Bc0i8', blob, at)
    key = key + 1
    rules[i] = {
      key = keys[key], kind = kind, n = n, price = price, room = room, refill = refill, cost = cost,
      shape = shape, calm = '\144' .. shape,
    }
  end
  if flags % 16 >= 8 then
    local parts, whole, least, period
    parts, whole, least, period, at = unpack_from('<i8i8i8i8', blob, at)
    key = key + 1
    budget = { key = keys[key], parts = parts, whole = whole, floor = least, period = period }
  end
  if flags >= 16 then
    fence, target = unpack_from('<i8I4c0', blob, at)
    claim = keys[key + 1]
  end
  return {
    within = within, lease = lease, token = token, retry = flags % 2 == 1,
    ticketed = flags % 4 >= 2, circuit = circuit, limits = rules, budget = budget, claim = claim,
    fence = fence, target = target, blob = blob,
  }
end

-- A refusal by empty buckets without a queue; nothing if a state has to be written anew.
local function refused(op, wait)
  local circuit, budget = op.circuit, op.budget
  if circuit and now - load(circuit.key, 7)[1] > SMALL_STEP then
    return
  end
  for i = 1, #op.limits do
    local state = load(op.limits[i].key, op.limits[i].kind == 0 and 7 or 6)
    if state and now - state[1] > SMALL_STEP then
      return
    end
  end
  local state = budget and load(budget.key, 6)
  if state and abs(now - state[1]) > SMALL_STEP then
    return
  end
  return { LIMITED, wait, false }
end

-- When there are so many tokens, and how many then: as TokenBucket._enough, but not cut at the room.
local function first_time(n, since, level, tokens, at)
  at = max(at, since)
  local had = level + (at - since) * n
  if had < tokens then
    -- The quotient of exact numbers below 2^53 never rounds onto or past a whole number.
    local wait = ceil((tokens - had) / n)
    at, had = at + wait, had + wait * n
  end
  return at, had
end

-- The bucket after a grant that waits behind a queue of one run or none, the wait, and the ticket;
-- nothing if the full rule has to decide. The numbers are those of place_of and grant, below.
local function queued(r, b)
  local since, level, life, frozen, shift = b[3], b[4], b[5], b[6], b[7]
  local runs, tokens, at, spare, run = b.runs, r.cost * r.price, max(now, b[6]), 0, nil
  if now < b[1] then
    return
  elseif runs then
    if b.shape ~= r.shape then
      return
    end
    run = runs[1]
  elseif b.rest ~= r.calm then
    if sub(b.rest, 1, 2) ~= ONE_RUN then
      return
    end
    local behind
    behind, runs = cmsgpack.unpack_one(b.rest)
    if sub(b.rest, behind + 1) ~= r.shape then
      return
    end
    run = runs[1]
  end
  local n, room, begin = r.n, r.room, 0
  if run then
    local before, most = run[2], room - run[5] - run[7]
    begin = run[1] + shift
    local time, had = first_time(n, since, level, tokens, at)
    local ahead = time <= begin and min(room, had) - tokens + (begin - time) * n
    if runs[2] or run[8] ~= 0 or (ahead and min(room, ahead) >= before - run[6]) then
      return
    end
    spare = min(min(room, level + (begin - since) * n) - before, most)
    if at < run[3] + shift and spare - tokens >= -run[6] then
      return
    end
    since, level = run[3] + shift, max(0, run[4] + min(spare + run[9], most))
    spare = level - run[4]
  end
  local time, had = first_time(n, since, level, tokens, at)
  if time <= now or time <= begin or had > room then
    return
  end
  local before, wait, ticket = had - spare, time - now, nil
  local after = before - tokens
  if run then
    ticket = { life, time, r.cost, shift, before, run[3] + shift, run[4] }
    run = {
      run[1], run[2], time - shift, after, max(run[5], before), min(run[6], after), run[7], 0, 0,
    }
  else
    ticket = { life, time, r.cost, shift, before, time, before }
    run = { time - shift, before, time - shift, after, after, after, 0, 0, 0 }
  end
  return {
    now, max(time, frozen) - now + r.refill, b[3], b[4], life, frozen, shift, runs = { run },
    shape = r.shape,
  }, wait, ticket
end

local function calm(op)
  if op.ticketed or op.claim then
    return
  end
  local circuit, limits, counted = op.circuit, op.limits, nil
  if circuit then
    local c = load(circuit.key, 7)
    if not c or c[3] ~= 0 or now < c[1] then
      return
    elseif c.record then
      if c.record.grid ~= circuit.grid then
        return
      end
    elseif sub(c.rest, 1, #circuit.calm) ~= circuit.calm then
      return
    end
    if circuit.timed then
      if now >= c[5] then
        return
      end
    elseif c[6] >= c[5] or now >= c[1] + c[2] then
      return
    end
    counted = { now, c[2], 0, c[4], c[5], c[6] + 1, c[7], rest = c.rest, record = c.record }
  end
  local taken, wait, ticket = {}, 0, nil
  for i = 1, #limits do
    local r = limits[i]
    if r.kind == 0 then
      local b = load(r.key, 7)
      if not b then
        taken[i] = { now, r.refill, now, r.room - r.cost * r.price, now, 0, 0, rest = r.calm }
      else
        local level = -1
        if now >= b[3] and now >= b[6] and now >= b[1] and b.rest == r.calm then
          level = min(b[4] + (now - b[3]) * r.n, r.room) - r.cost * r.price
        elseif #limits > 1 then
          return
        end
        if level >= 0 then
          taken[i] = { now, r.refill, now, level, b[5], b[6], b[7], rest = r.calm }
        elseif #limits > 1 then
          wait = max(wait, ceil(-level / r.n))
        else
          taken[i], wait, ticket = queued(r, b)
          if not wait then
            return
          end
        end
      end
    else
      local q = load(r.key, 6)
      if not q then
        return
      end
      local used, ends = q[4] + r.cost, q[1] + q[2]
      if now < q[1] or now < q[3] or now < q[5] or now >= ends or used > r.n
        or q.rest ~= '\144' then
        return
      end
      taken[i] = { now, ends - now, now, used, q[5], q[6], rest = '\144' }
    end
  end
  local budget = op.budget
  if wait > op.within then
    return refused(op, wait)
  elseif wait > 0 and not ticket then
    return
  elseif budget then
    local b = load(budget.key, 6)
    if op.retry or not b or now < b[1] or floor(now / budget.period) ~= b[3] then
      return
    end
    cells[budget.key] = { now, b[2], b[3], b[4] + 1, b[5], b[6], rest = '' }
    changed[budget.key] = true
  end
  for i = 1, #limits do
    local key = limits[i].key
    cells[key], changed[key] = taken[i], true
  end
  if counted then
    cells[circuit.key] = counted
    changed[circuit.key] = true
  end
  if ticket then
    return { GO, wait, counted and { counted[4], counted[6], 0 } or false, ticket }
  end
  return counted and { counted[4], counted[6] } or 0
end

-- A confirmation, if no clock stepped back and no state has to be written anew. What another rule
-- wrote matters to runs, and to a circuit's window; neither is asked about here.
local function calm_confirm(blob, keys)
  local with_permit, limits, at = unpack_from('<BB', blob, 2)
  local wait = 0
  for i = 1, limits do
    local kind, size, life, time, _, shifted = byte(blob, at), nil, nil, nil, nil, nil
    at = at + 34 + byte(blob, at + 33)
    size = byte(blob, at)
    at = at + 1
    local state = load(keys[i], kind == 0 and 7 or 6)
    if not state or now < state[1] or now - state[1] > SMALL_STEP then
      return
    elseif size > 0 then
      life, time, _, shifted = unpack_from('<i8i8i8i8', blob, at)
      at = at + 8 * size
      if kind == 0 then
        local due = life == state[5] and time + (state[7] - shifted) or now
        wait = max(wait, due - now, state[6] - now)
      else
        wait = max(wait, time + (state[6] - shifted) - now, state[5] - now)
      end
    end
  end
  if with_permit == 1 then
    local c, gen, _, token = load(keys[#keys], 7), unpack_from('<i8i8i8', blob, #blob - 23)
    local age = c and now - c[1]
    if not c or age < 0 or age > SMALL_STEP or age >= c[2] or gen ~= c[4] or token ~= 0 then
      return
    end
  end
  return { GO, wait }
end

-- --- everything else -------------------------------------------------------------------------

local function everything()
  local EXACT = 9007199254740992
  local MILLION = 1000000
  local ONE_LIFE = MILLION
  local MOST = 4294967295
  local ROWS = 8
  local RUNS = 300
  local LATER = 100
  local CLOSED, OPEN, HALF_OPEN, FORCED_OPEN, DISABLED = 0, 1, 2, 3, 4
  local GOOD, FAILED, NEUTRAL = 0, 1, 3
  local NEEDS_TOKEN, CIRCUIT_OPEN, NO_BUDGET, FENCED, PROBES_TAKEN = 1, 2, 4, 5, 6
  local CLAIMED, SENT, DONE, FREE = 0, 1, 2, 3
  local RUN, ASK_AGAIN, REPLAY, CONFLICT, BUSY, UNKNOWN = 0, 1, 2, 3, 4, 5
  local NONE = '\192'

  -- values: as domain/packing.py

  local function int(value)
    return cmsgpack.pack(value)
  end

  local function array(size)
    if size < 16 then
      return char(144 + size)
    end
    return '\220' .. pack('>I2', size)
  end

  local function binary(bytes)
    if #bytes < 256 then
      return '\196' .. char(#bytes) .. bytes
    elseif #bytes < 65536 then
      return '\197' .. pack('>I2', #bytes) .. bytes
    end
    return '\198' .. pack('>I4', #bytes) .. bytes
  end

  local function text(bytes)
    if #bytes < 32 then
      return char(160 + #bytes) .. bytes
    elseif #bytes < 256 then
      return '\217' .. char(#bytes) .. bytes
    elseif #bytes < 65536 then
      return '\218' .. pack('>I2', #bytes) .. bytes
    end
    return '\219' .. pack('>I4', #bytes) .. bytes
  end

  local SIZED = {
    [196] = '>B', [197] = '>I2', [198] = '>I4', -- binary
    [217] = '>B', [218] = '>I2', [219] = '>I4', -- text
    [220] = '>I2', [221] = '>I4', -- arrays
    [204] = '>B', [205] = '>I2', [206] = '>I4', [207] = '>I8', -- numbers
    [208] = '>b', [209] = '>i2', [210] = '>i4', [211] = '>i8',
  }

  local function read(bytes, at)
    local code = byte(bytes, at)
    if code < 128 then
      return code, at + 1
    elseif code >= 224 then
      return code - 256, at + 1
    end
    local size
    if code >= 144 and code < 160 then
      size, at = code - 144, at + 1
    elseif code >= 160 and code < 192 then
      size, at = code - 160, at + 1
      return sub(bytes, at, at + size - 1), at + size
    else
      size, at = unpack_from(SIZED[code], bytes, at + 1)
      if code >= 204 and code < 212 then
        return size, at
      elseif code < 220 then
        return sub(bytes, at, at + size - 1), at + size
      end
    end
    local items = {}
    for i = 1, size do
      items[i], at = read(bytes, at)
    end
    return items, at
  end

  local function readable(ok, ...)
    if not ok then
      error({ -1, 'unreadable' })
    end
    return ...
  end

  -- states: what stands behind their first numbers

  local function runs_of(state)
    local runs = state.runs
    if not runs then
      local behind
      runs, behind = readable(pcall(read, state.rest, 1))
      state.runs, state.shape = runs, sub(state.rest, behind)
    end
    return runs
  end

  local FIELDS = {
    'grid', 'fails', 'slow', 'cancelled', 'times', 'rows', 'past', 'who', 'streak', 'since', 'until_',
    'leases', 'good',
  }

  local function record_of(state)
    local record = state.record
    if not record then
      local items = readable(pcall(read, state.rest, 1))
      if type(items) ~= 'table' or #items ~= #FIELDS then
        error({ -1, 'unreadable' })
      end
      record = {}
      for i = 1, #FIELDS do
        record[FIELDS[i]] = items[i]
      end
      state.record = record
    end
    return record
  end

  local function empty_record(rule)
    return {
      grid = rule.grid, fails = 0, slow = 0, cancelled = 0, times = {}, rows = {}, past = '', who = {}, streak = 0,
      since = 0, until_ = 0, leases = {}, good = 0,
    }
  end

  local function replaced(record, changes)
    local copy = {}
    for name, value in pairs(record) do
      copy[name] = value
    end
    for name, value in pairs(changes) do
      copy[name] = value
    end
    return copy
  end

  local CLAIM = { 'fingerprint', 'fence', 'owner', 'until_', 'ends', 'sent_at', 'target' }

  local function read_claim(rest)
    local claim, at = {}, 1
    for i = 1, #CLAIM do
      claim[CLAIM[i]], at = read(rest, at)
    end
    claim.answer = sub(rest, at)
    return claim
  end

  local function claim_of(state)
    local claim = state.claim
    if not claim then
      claim = readable(pcall(read_claim, state.rest))
      state.claim = claim
    end
    return claim
  end

  local function tuples(list)
    local out = { array(#list) }
    for i = 1, #list do
      local tuple = list[i]
      out[#out + 1] = array(#tuple)
      for j = 1, #tuple do
        out[#out + 1] = int(tuple[j])
      end
    end
    return concat(out)
  end

  function rest_of(state)
    if state.record then
      local r = state.record
      local times, who = { array(#r.times) }, { array(#r.who) }
      for i = 1, #r.times do
        times[i + 1] = int(r.times[i])
      end
      for i = 1, #r.who do
        who[i + 1] = '\146' .. text(r.who[i][1]) .. int(r.who[i][2])
      end
      return '\157' .. int(r.grid) .. int(r.fails) .. int(r.slow) .. int(r.cancelled) .. concat(times)
        .. tuples(r.rows) .. binary(r.past) .. concat(who) .. int(r.streak) .. int(r.since)
        .. int(r.until_) .. tuples(r.leases) .. int(r.good)
    end
    local c = state.claim
    return binary(c.fingerprint) .. int(c.fence) .. int(c.owner) .. int(c.until_)
      .. int(c.ends) .. int(c.sent_at) .. text(c.target) .. c.answer
  end

  local function put(i, state)
    if state ~= cells[i] then
      cells[i] = state
      changed[i] = true
    end
  end

  -- time: as domain/state.py

  local function steady(seen)
    if now >= seen then
      return now, 0
    elseif seen - now <= SMALL_STEP then
      return seen, 0
    end
    return now, seen - now
  end

  local function unchanged(rule, i, state)
    if state and (state[1] - now > SMALL_STEP or now - state[1] > SMALL_STEP) then
      put(i, rule:present(state) or state)
    end
  end

  -- buckets: as domain/bucket.py

  local Bucket = { count = 7 }
  Bucket.__index = Bucket

  local function part_of_token(units, price, new_price)
    if units * new_price < EXACT then
      return floor(units * new_price / price)
    end
    local new_units = 0
    while units > 0 and new_price > 0 do
      units, new_price = units * 2, floor(new_price / 2)
      if units >= price then
        units, new_units = units - price, new_units + new_price
      end
    end
    return new_units
  end

  -- the time and the level after so many runs
  local function behind(rule, since, level, runs, shift, count)
    for i = 1, count do
      local run = runs[i]
      local spare = min(rule.room, level + (run[1] + shift - since) * rule.n) - run[2]
      spare = min(spare + run[9], rule.room - run[5] - run[7])
      since, level = run[3] + shift, max(0, run[4] + spare)
    end
    return since, level
  end

  local function converted(rule, at, level, shift, runs, shape)
    local n, price, burst = unpack((readable(pcall(read, shape, 1))))
    at, level = behind({ n = n, room = burst * price }, at, level, runs, shift, #runs)
    local tokens = floor(level / price)
    if tokens >= rule.room / rule.price then
      return at, rule.room, {}
    end
    return at, tokens * rule.price + part_of_token(level - tokens * price, price, rule.price), {}
  end

  function Bucket.present(rule, state)
    if not state then
      return { now, 0, now, rule.room, now, 0, 0, runs = {}, shape = rule.shape }
    end
    local seen, keep_for, at, level, life, frozen, shift = unpack(state)
    local runs = runs_of(state)
    if state.shape ~= rule.shape then
      at, level, runs = converted(rule, at, level, shift, runs, state.shape)
    end
    local time, back = steady(seen)
    keep_for = max(0, keep_for - (time - seen + back))
    return {
      time, keep_for, at - back, level, life, frozen - back, shift - back,
      runs = runs, shape = rule.shape,
    }
  end

  -- A product beyond 2^53 is beyond any room too, which is below 2^52.
  local function enough(rule, since, level, tokens, at)
    local time, had = first_time(rule.n, since, level, tokens, at)
    return time, min(rule.room, had), had > rule.room
  end

  local function needs_of(rule, runs)
    local needs, need, later = {}, 0, 0
    for i = #runs, 1, -1 do
      local run = runs[i]
      local spare = -run[6]
      if i < #runs then
        spare = max(spare, need - (later - run[3]) * rule.n - run[4] - run[9])
      end
      need, later = run[2] + spare, run[1]
      needs[i] = need
    end
    return needs
  end

  -- time, runs before it, since when, level, spare, whether full, whether at once
  local function place_of(rule, b, cost, at)
    local seen, _, since, level, _, frozen, shift = unpack(b)
    local runs, n, room, tokens, spare = b.runs, rule.n, rule.room, cost * rule.price, 0
    at = max(at, frozen)
    local needs = needs_of(rule, runs)
    for i = 1, #runs do
      local run = runs[i]
      local begin, before, ends = run[1] + shift, run[2], run[3] + shift
      local time, had, full = enough(rule, since, level, tokens, at)
      if time <= begin then
        local left = had - tokens + (begin - time) * n
        local continues = left - spare >= before
        if (continues or time == seen) and min(room, left) >= needs[i] then
          return time, i - 1, time, had, spare, full, not continues
        end
      end
      local most = room - run[5] - run[7]
      spare = min(min(room, level + (begin - since) * n) - before, most)
      if begin <= at and at == seen and seen < ends and before + spare - tokens >= needs[i] then
        return at, i - 1, begin, before + spare, spare, false, true
      end
      since, level = ends, max(0, run[4] + min(spare + run[9], most))
      spare = level - run[4]
    end
    local time, had, full = enough(rule, since, level, tokens, at)
    return time, #runs, time, had, spare, full, false
  end

  local function live_of(rule, run)
    if run[8] > 0 then
      return run[8]
    end
    -- A whole number, and rounded to it.
    return floor((run[2] - run[4] + (run[3] - run[1]) * rule.n) / rule.price + 0.5)
  end

  local function joined(rule, one, other)
    local gap = one[4] + (other[1] - one[3]) * rule.n - other[2]
    local live, idle = one[8], one[9]
    if live > 0 or other[8] > 0 or gap ~= 0 then
      live = live_of(rule, one) + live_of(rule, other)
      idle = min(rule.room, idle + other[9] + gap)
    end
    local highest, lowest = max(one[5], other[2], other[5]), min(one[6], other[6])
    return {
      one[1], one[2], other[3], other[4], highest, lowest, one[7] + other[7], live, idle,
    }
  end

  local function bounded(rule, runs)
    local size = #runs
    if size <= RUNS then
      return runs
    end
    local place, least = size - 1, rule.room + 1
    for i = size - 1, RUNS / 2 + 2, -1 do
      local run = joined(rule, runs[i], runs[i + 1])
      if run[9] < least and run[9] <= rule.room - run[5] then
        place, least = i, run[9]
      end
    end
    local fewer = {}
    for i = 1, place - 1 do
      fewer[i] = runs[i]
    end
    fewer[place] = joined(rule, runs[place], runs[place + 1])
    for i = place + 2, size do
      fewer[i - 1] = runs[i]
    end
    return fewer
  end

  local function past_of(runs, time)
    for i = 1, #runs do
      if runs[i][3] >= time then
        return i - 1
      end
    end
    return #runs
  end

  local function from(runs, first)
    local rest = {}
    for i = first, #runs do
      rest[#rest + 1] = runs[i]
    end
    return rest
  end

  local function without_past(rule, since, level, runs, shift, seen)
    local past = past_of(runs, seen - shift)
    since, level = behind(rule, since, level, runs, shift, past)
    return since, level, bounded(rule, from(runs, past + 1))
  end

  local function taken_from(runs, tokens)
    local begin, before, ends, after, highest, lowest, spent, live, idle = unpack(runs[1])
    runs = from(runs, 1)
    runs[1] = { begin, before, ends, after, max(before, highest), lowest, spent + tokens, live, idle }
    return runs
  end

  local function keep_for_of(rule, seen, at, runs, shift, frozen)
    local last = #runs > 0 and runs[#runs][3] + shift or at
    return max(last, frozen) - seen + rule.refill
  end

  function Bucket.earliest(rule, b, cost, at)
    local time = place_of(rule, b, cost, at)
    return time
  end

  function Bucket.grant(rule, b, cost, at, kept)
    local seen, _, first, level, life, frozen, shift = unpack(b)
    local runs, tokens, ticket = b.runs, cost * rule.price, nil
    local _, place, since, had, spare, full, at_once = place_of(rule, b, cost, at)
    if at_once or not kept then
      runs, first, level = from(runs, place + 1), since, had - tokens
      if since < at then
        runs = taken_from(runs, tokens)
      end
      ticket = { life, at, cost, shift, since }
    else
      local time, before = at - shift, had - spare
      local after, run = before - tokens, runs[place]
      local joins = run and not full and run[8] == 0
      if joins then
        ticket = { life, at, cost, shift, before, run[3] + shift, run[4] }
        run = {
          run[1], run[2], time, after, max(run[5], before), min(run[6], after), run[7], 0, 0,
        }
      else
        ticket = { life, at, cost, shift, before, at, before }
        run = { time, before, time, after, after, after, 0, 0, 0 }
      end
      local queue, behind = {}, place + 1
      for i = 1, joins and place - 1 or place do
        queue[i] = runs[i]
      end
      local later = runs[behind]
      if later and later[8] == 0 then
        local both = joined(rule, run, later)
        if both[8] == 0 then
          run, behind = both, behind + 1
        end
      end
      queue[#queue + 1] = run
      for i = behind, #runs do
        queue[#queue + 1] = runs[i]
      end
      first, level, runs = without_past(rule, first, level, queue, shift, seen)
    end
    local keep_for = keep_for_of(rule, seen, first, runs, shift, frozen)
    return {
      seen, keep_for, first, level, life, frozen, shift, runs = runs, shape = rule.shape,
    }, ticket
  end

  local function is_before(time, level, other_time, other_level)
    return time < other_time or (time == other_time and level > other_level)
  end

  local function without(rule, run, time, after, previous, left, cost, due)
    local begin, start, ends, final, highest, lowest, spent, live, idle = unpack(run)
    local first = not is_before(begin, start, previous, left)
    local last = ends == time and final == after
    local alive = live > 0 and live - cost or 0
    if (live > 0 and alive == 0) or (first and last) then
      return {}
    elseif live > 0 and not first and not last then
      idle = min(rule.room, idle + cost * rule.price)
      return { { begin, start, ends, final, highest, lowest, spent, alive, idle } }
    end
    local ahead = { begin, start, previous, left, highest, lowest, spent, alive, idle }
    local behind = { time, after, ends, final, highest, lowest, due and spent or 0, alive, idle }
    if first then
      return { behind }
    elseif last then
      return { ahead }
    end
    return { ahead, behind }
  end

  function Bucket.refund(rule, b, ticket)
    local seen, keep_for, at, level, life, frozen, shift = unpack(b)
    local number, time, cost, shifted, before, last, left = unpack(ticket)
    local runs, tokens = b.runs, cost * rule.price
    if number ~= life then
      return b
    elseif #ticket == 5 then
      if at - shift == before - shifted then
        level = min(rule.room, level + tokens)
        if before < time and #runs > 0 then
          runs = taken_from(runs, -tokens)
        end
      end
      return { seen, keep_for, at, level, life, frozen, shift, runs = runs, shape = rule.shape }
    end
    local due, after = time - shifted + shift <= max(seen, frozen), before - tokens
    time, last = time - shifted, last - shifted
    for i = 1, #runs do
      local run = runs[i]
      if is_before(run[1], run[2], time, after) and not is_before(run[3], run[4], time, after) then
        local fewer = {}
        for j = 1, i - 1 do
          fewer[j] = runs[j]
        end
        for _, part in ipairs(without(rule, run, time, after, last, left, cost, due)) do
          fewer[#fewer + 1] = part
        end
        for j = i + 1, #runs do
          fewer[#fewer + 1] = runs[j]
        end
        runs = fewer
        if #runs > RUNS then
          at, level, runs = without_past(rule, at, level, runs, shift, seen)
        end
        break
      end
    end
    return { seen, keep_for, at, level, life, frozen, shift, runs = runs, shape = rule.shape }
  end

  function Bucket.drain(rule, b, pause)
    local seen, _, at, level, life, frozen, shift = unpack(b)
    local ends, since = seen + pause, max(seen, frozen)
    local longer = ends - since
    if longer <= 0 then
      return b
    end
    local runs = from(b.runs, past_of(b.runs, since - shift + 1) + 1)
    since = max(at, since)
    at, level = since + longer, 0
    if #runs > 0 then
      local need, begin = needs_of(rule, runs)[1], runs[1][1] + shift
      if begin <= since then
        at, level = begin + longer, need
      else
        level = max(0, need - (begin - since) * rule.n)
      end
    end
    shift = shift + longer
    local keep_for = keep_for_of(rule, seen, at, runs, shift, ends)
    return { seen, keep_for, at, level, life, ends, shift, runs = runs, shape = rule.shape }
  end

  function Bucket.confirm(_, b, ticket)
    local seen = b[1]
    local due = ticket[1] == b[5] and ticket[2] + (b[7] - ticket[4]) or seen
    return max(0, due - seen, b[6] - seen)
  end

  -- quotas: as domain/quota.py

  local Quota = { count = 6 }
  Quota.__index = Quota

  local function civil_month(day)
    local days = day + 719468
    local era = floor(days / 146097)
    local of_era = days - era * 146097
    local year = floor(
      (of_era - floor(of_era / 1460) + floor(of_era / 36524) - floor(of_era / 146096)) / 365
    )
    local of_year = of_era - (365 * year + floor(year / 4) - floor(year / 100))
    local month = floor((5 * of_year + 2) / 153)
    if month >= 10 then
      return year + era * 400 + 1, month - 9
    end
    return year + era * 400, month + 3
  end

  local function first_day(year, month)
    local since_march = (month - 3) % 12
    if since_march >= 10 then
      year = year - 1
    end
    local era = floor(year / 400)
    local of_era = year - era * 400
    local of_year = floor((153 * since_march + 2) / 5)
    local days = of_era * 365 + floor(of_era / 4) - floor(of_era / 100) + of_year
    return era * 146097 + days - 719468
  end

  local function period(rule, at)
    local day = floor(at / DAY)
    if rule.price == 0 then
      return day * DAY, (day + 1) * DAY
    end
    local year, month = civil_month(day)
    if month < 12 then
      return first_day(year, month) * DAY, first_day(year, month + 1) * DAY
    end
    return first_day(year, month) * DAY, first_day(year + 1, 1) * DAY
  end

  local function period_end(rule, at)
    local _, ends = period(rule, at)
    return ends
  end

  local function later_of(rule, later, begin)
    for i = 1, #later do
      if later[i][1] == begin then
        return later[i][2]
      end
    end
    return #later > 0 and begin < later[#later][1] and rule.n or 0
  end

  local function used_at(rule, q, at)
    local begin = period(rule, at)
    return begin <= q[3] and q[4] or later_of(rule, q.runs, begin)
  end

  local function last_period(rule, seen, at, frozen, later)
    return max(period_end(rule, #later > 0 and later[#later][1] or at), frozen) - seen
  end

  local function moved_from(rule, later, earliest)
    local counts = {}
    for i = 1, #later do
      local begin, used = period(rule, max(later[i][1], earliest)), later[i][2]
      local last = counts[#counts]
      if last and last[1] == begin then
        counts[#counts] = { begin, last[2] + used }
      else
        counts[#counts + 1] = { begin, used }
      end
    end
    return counts
  end

  function Quota.present(rule, state)
    if not state then
      return { now, 0, now, 0, 0, 0, runs = {} }
    end
    local seen, keep_for, at, used, frozen, shift = unpack(state)
    local later = runs_of(state)
    local time, back = steady(seen)
    keep_for = keep_for - (time - seen)
    if back > 0 then
      at, frozen, shift = at - back, frozen - back, shift - back
      local moved = {}
      for i = 1, #later do
        moved[i] = { later[i][1] - back, later[i][2] }
      end
      later = moved_from(rule, moved, 0)
      keep_for = last_period(rule, time, at, frozen, later)
    end
    local begin = period(rule, time)
    if begin > at then
      at, used = time, later_of(rule, later, begin)
    end
    local ahead = {}
    for i = 1, #later do
      if later[i][1] > begin then
        ahead[#ahead + 1] = later[i]
      end
    end
    return { time, max(0, keep_for), at, used, frozen, shift, runs = ahead }
  end

  function Quota.earliest(rule, q, cost, at)
    at = max(at, q[1], q[5])
    local later = q.runs
    while used_at(rule, q, at) + cost > rule.n do
      at = period_end(rule, at)
      if #later == LATER and later[LATER - 1][1] < at and at < later[LATER][1] then
        at = later[LATER][1]
      end
    end
    return at
  end

  function Quota.grant(rule, q, cost, at)
    local seen, _, since, used, frozen, shift = unpack(q)
    local later, begin = q.runs, period(rule, at)
    local last = later[#later]
    if begin <= since then
      since, used = at, used + cost
    else
      local counted = {}
      for i = 1, #later do
        counted[i] = { later[i][1], later[i][2] + (later[i][1] == begin and cost or 0) }
      end
      if not last or begin > last[1] then
        local between = period_end(rule, last and last[1] or since)
        while between < begin and #counted < LATER do
          counted[#counted + 1] = { between, 0 }
          between = period_end(rule, between)
        end
        counted[min(#counted, LATER - 1) + 1] = { begin, cost }
      end
      later = counted
    end
    local keep_for = last_period(rule, seen, since, frozen, later)
    return { seen, keep_for, since, used, frozen, shift, runs = later }, { 0, at, cost, shift }
  end

  function Quota.refund(rule, q, ticket)
    local seen, _, at, used, frozen, shift = unpack(q)
    local due = ticket[2] + (shift - ticket[4])
    local begin = period(rule, due)
    if begin > seen then begin = period(rule, max(due, frozen)) end
    if begin == period(rule, at) then
      used = max(0, used - ticket[3])
    end
    local later = {}
    for i, each in ipairs(q.runs) do
      later[i] = { each[1], each[1] == begin and max(0, each[2] - ticket[3]) or each[2] }
    end
    while #later > 0 and later[#later][2] == 0 do
      local before = later[#later - 1]
      if period_end(rule, before and before[1] or at) ~= later[#later][1] then
        break
      end
      later[#later] = nil
    end
    local keep_for = last_period(rule, seen, at, frozen, later)
    return { seen, keep_for, at, used, frozen, shift, runs = later }
  end

  function Quota.drain(rule, q, pause)
    local seen, _, at, used, frozen, shift = unpack(q)
    frozen = max(frozen, seen + pause)
    local later = moved_from(rule, q.runs, frozen)
    local keep_for = last_period(rule, seen, at, frozen, later)
    return { seen, keep_for, at, used, frozen, shift, runs = later }
  end

  function Quota.confirm(_, q, ticket)
    local moved = q[6] - ticket[4]
    return max(0, ticket[2] + moved - q[1], q[5] - q[1])
  end

  local LIMITS = { [0] = Bucket, [1] = Quota }

  local function joint_wait(presents, rules)
    local wait = 0
    while true do
      local longer = 0
      for i = 1, #rules do
        local p, r = presents[i], rules[i]
        longer = max(longer, r:earliest(p, r.cost, p[1] + wait) - p[1])
      end
      if longer == wait then
        return wait
      end
      wait = longer
    end
  end

  -- the retry budget: as domain/budget.py

  local Budget = { count = 6 }
  Budget.__index = Budget

  function Budget.present(rule, state)
    if not state then
      return { now, 2 * rule.period, floor(now / rule.period), 0, 0, 0, rest = '' }
    end
    local seen, keep_for, current, calls, retries, carry = unpack(state)
    local time = steady(seen)
    local after = floor(time / rule.period)
    if after > current then
      local spared = max(0, calls * rule.parts - retries * rule.whole)
      calls, retries, carry = 0, 0, after == current + 1 and spared or 0
    end
    return { time, keep_for, after, calls, retries, carry, rest = '' }
  end

  function Budget.spend(rule, b, retry)
    local seen, keep_for, current, calls, retries, carry = unpack(b)
    if not retry then
      return { seen, keep_for, current, calls + 1, retries, carry, rest = '' }
    end
    local allowed = rule.floor * rule.whole + carry + calls * rule.parts
    if (retries + 1) * rule.whole > allowed then
      return
    end
    return { seen, keep_for, current, calls, retries + 1, carry, rest = '' }
  end

  -- circuits: as domain/circuit.py

  local Circuit = { count = 7 }
  Circuit.__index = Circuit

  local function slots(past)
    local list = {}
    for at = 1, #past, 28 do
      local slot = { unpack_from('<i8i8I4I4I4', past, at) }
      slot[6] = nil
      list[#list + 1] = slot
    end
    return list
  end

  local function packed(list)
    local out = {}
    for i = 1, #list do
      out[i] = pack('<i8i8I4I4I4', unpack(list[i]))
    end
    return concat(out)
  end

  local function slot_end(rule, at)
    return at - at % rule.width + rule.width
  end

  local function with(c, record, keep_for)
    return { c[1], keep_for or c[2], c[3], c[4], c[5], c[6], c[7], record = record }
  end

  local function outlasting(keep_for, seen, record)
    for i = 1, #record.leases do
      keep_for = max(keep_for, record.leases[i][2] - seen)
    end
    return keep_for
  end

  local function moved(slot, record, back)
    local in_slots = record.grid > 0 and back or 0
    local times, past, who, leases = {}, slots(record.past), {}, {}
    for i = 1, #record.times do
      times[i] = record.times[i] - back
    end
    for i = 1, #past do
      past[i][1] = past[i][1] - in_slots
    end
    for i = 1, #record.who do
      who[i] = { record.who[i][1], record.who[i][2] - back }
    end
    for i = 1, #record.leases do
      local token, ends, gen = unpack(record.leases[i])
      leases[i] = { token, ends - back, gen }
    end
    return slot - in_slots, replaced(record, {
      times = times, past = packed(past), who = who, since = record.since - back,
      until_ = record.until_ - back, leases = leases,
    })
  end

  -- the current slot, its first call and the record of a state that another rule wrote
  local function regridded(rule, time, slot, total, base, record)
    local at = rule.timed and time or total
    local past, kept, changes = slots(record.past), {}, {}
    if record.grid > 0 and not rule.timed then
      for i = 1, #past do
        past[i][1] = past[i + 1] and past[i + 1][2] or base
      end
      slot = slot_end(rule, at)
    elseif record.grid < 0 and rule.timed then
      slot, base, past = slot_end(rule, at), total, {}
      changes.fails, changes.slow, changes.cancelled = 0, 0, 0
    end
    for i = 1, #past do
      if past[i][1] > at - rule.span then
        kept[#kept + 1] = past[i]
      end
    end
    changes.grid, changes.past = rule.grid, packed(kept)
    return min(slot, slot_end(rule, at)), base, replaced(record, changes)
  end

  local function rolled(rule, ends, base, calls, record, at)
    calls = min(calls - record.cancelled, MOST)
    local kept, past = {}, slots(record.past)
    for i = 1, #past do
      if past[i][1] > at - rule.span then
        kept[#kept + 1] = past[i]
      end
    end
    if ends > at - rule.span and (calls ~= 0 or record.fails ~= 0 or record.slow ~= 0) then
      kept[#kept + 1] = { ends, base, calls, record.fails, record.slow }
    end
    past = packed(kept)
    if past == record.past and record.fails == 0 and record.slow == 0 and record.cancelled == 0 then
      return record
    end
    return replaced(record, { fails = 0, slow = 0, cancelled = 0, past = past })
  end

  function Circuit.present(rule, state)
    if not state or now - state[1] >= state[2] then
      local slot = slot_end(rule, rule.timed and now or 0)
      return { now, rule.keep_for, CLOSED, now, slot, 0, 0, record = empty_record(rule) }
    end
    local seen, keep_for, mode, gen, slot, total, base = unpack(state)
    local record = record_of(state)
    local time, back = steady(seen)
    if back > 0 then
      slot, record = moved(slot, record, back)
    end
    if record.grid ~= rule.grid then
      keep_for = max(keep_for, rule.keep_for)
      slot, base, record = regridded(rule, time, slot, total, base, record)
    end
    local at = rule.timed and time or total
    if at >= slot then
      record = rolled(rule, slot, base, total - base, record, at)
      slot, base = slot_end(rule, at), total
    end
    return { time, keep_for, mode, gen, slot, total, base, record = record }
  end

  local function live(leases, seen)
    local kept, first = {}, nil
    for i = 1, #leases do
      if leases[i][2] > seen then
        kept[#kept + 1] = leases[i]
        first = min(first or leases[i][2], leases[i][2])
      end
    end
    return kept, first
  end

  local function away(rule, c)
    local seen, mode, record = c[1], c[3], c.record
    if mode == OPEN then
      return max(1, record.until_ - seen)
    elseif mode == HALF_OPEN then
      local leases, first = live(record.leases, seen)
      return #leases >= rule.probes and first - seen or 1
    end
    return mode == FORCED_OPEN and FOREVER or 0
  end

  function Circuit.is_open(_, c)
    return c[3] == FORCED_OPEN or (c[3] == OPEN and c[1] < c.record.until_)
  end

  -- the state, its permit, how long to stay away, whether a token is needed
  function Circuit.admit(rule, c, token, lease)
    local seen, keep_for, mode, gen, slot, total, base = unpack(c)
    local record = c.record
    if mode == CLOSED then
      total = total + 1
    end
    if mode == CLOSED or mode == DISABLED then
      local counted = { seen, keep_for, mode, gen, slot, total, base, record = record }
      return counted, { gen, total, 0 }, 0, false
    end
    local stay = 0
    if mode == FORCED_OPEN or seen < record.until_ then
      stay = away(rule, c)
    end
    if stay > 0 then
      return c, nil, stay, false
    end
    if mode == OPEN then
      gen = gen + 1
    end
    local leases, first = live(record.leases, seen)
    local held = false
    for i = 1, #leases do
      held = held or (leases[i][1] == token and leases[i][3] == gen)
    end
    if not held then
      if #leases >= rule.probes then
        return c, nil, first - seen, false
      elseif token == 0 then
        return c, nil, 0, true
      end
      leases[#leases + 1] = { token, seen + lease, gen }
    end
    record = replaced(record, { leases = leases })
    keep_for = outlasting(rule.longest + DAY, seen, record)
    local probing = { seen, keep_for, HALF_OPEN, gen, slot, total, base, record = record }
    return probing, { gen, 0, token }, 0, false
  end

  function Circuit.confirm(rule, c, permit, wait)
    if permit[1] ~= c[4] then
      return c, away(rule, c)
    end
    local seen, token, record = c[1], permit[3], c.record
    if token == 0 then
      return c, 0
    end
    local held, leases = false, {}
    for i = 1, #record.leases do
      local lease = record.leases[i]
      held = held or (lease[1] == token and lease[2] > seen)
      leases[i] = lease[1] == token and { token, lease[2] + wait, lease[3] } or lease
    end
    if not held then
      return c, away(rule, c)
    end
    record = replaced(record, { leases = leases })
    return with(c, record, outlasting(c[2], seen, record)), 0
  end

  local function opened(rule, c)
    local seen, record = c[1], c.record
    local lasts = rule.opens[min(record.streak, #rule.opens - 1) + 1]
    local fresh = empty_record(rule)
    fresh.leases, fresh.streak, fresh.until_ = record.leases, record.streak + 1, seen + lasts
    local keep_for = outlasting(rule.longest + DAY, seen, fresh)
    return { seen, keep_for, OPEN, c[4] + 1, c[5], c[6], c[6], record = fresh }
  end

  local function probed(rule, c, outcome)
    if outcome == NEUTRAL then
      return c, 0
    elseif outcome ~= GOOD then
      return opened(rule, c), 1
    end
    local seen, record = c[1], c.record
    local good = record.good + 1
    if good < rule.successes then
      return with(c, replaced(record, { good = good })), 0
    end
    local fresh = empty_record(rule)
    fresh.leases, fresh.streak, fresh.since = record.leases, record.streak, seen
    local keep_for = outlasting(rule.keep_for, seen, fresh)
    return { seen, keep_for, CLOSED, c[4] + 1, c[5], c[6], c[6], record = fresh }, 2
  end

  local function before(one, other)
    for i = 1, 3 do
      if one[i] ~= other[i] then
        return one[i] < other[i]
      end
    end
    return false
  end

  local function in_a_row(rows, number, failed)
    local first, last, others = number, number, {}
    for i = 1, #rows do
      local row = rows[i]
      if row[2] == first - 1 then
        first, failed = row[1], failed + row[3]
      elseif row[1] == last + 1 then
        last, failed = row[2], failed + row[3]
      else
        others[#others + 1] = row
      end
    end
    others[#others + 1] = { first, last, failed }
    table.sort(others, before)
    while #others > ROWS do
      table.remove(others, 1)
    end
    return others
  end

  local function last(list, count)
    local kept = {}
    for i = max(1, #list - count + 1), #list do
      kept[#kept + 1] = list[i]
    end
    return kept
  end

  -- calls, failures and slow answers in the window
  local function window(rule, c)
    local record = c.record
    local after = (rule.timed and c[1] or c[6]) - rule.span
    local calls, fails, slow = c[6] - c[7] - record.cancelled, record.fails, record.slow
    local past = slots(record.past)
    for i = 1, #past do
      if past[i][1] > after then
        calls, fails, slow = calls + past[i][3], fails + past[i][4], slow + past[i][5]
      end
    end
    return max(calls, fails, slow), fails, slow
  end

  -- Whether part * MILLION >= share * whole; both products may be beyond 2^53.
  local function reached(part, share, whole)
    local low, other = part % 65536 * MILLION, whole % 65536 * share
    local high = floor(part / 65536) * MILLION + floor(low / 65536)
    local rest = floor(whole / 65536) * share + floor(other / 65536)
    if high ~= rest then
      return high > rest
    end
    return low % 65536 >= other % 65536
  end

  local function tripped(rule, c)
    local seen, record = c[1], c.record
    local lately, nearby = #record.who >= rule.quorum, 0
    for i = 1, #record.who do
      if record.who[i][2] > seen - rule.within then
        nearby = nearby + 1
      end
    end
    nearby = nearby >= rule.quorum
    if rule.failures > 0 and nearby and #record.times >= rule.failures then
      return true
    end
    if rule.consecutive > 0 and lately then
      for i = 1, #record.rows do
        if record.rows[i][3] >= rule.consecutive then
          return true
        end
      end
    end
    if not rule.rated or not (rule.timed and nearby or not rule.timed and lately) then
      return false
    end
    local calls, fails = window(rule, c)
    return calls >= rule.minimum and reached(fails, rule.failure_share, calls)
  end

  local function dragged(rule, c)
    local calls, _, slow = window(rule, c)
    return calls >= rule.minimum and reached(slow, rule.slow_share, calls)
  end

  local function counted(rule, c, number, failed, reporter)
    local seen, record = c[1], c.record
    local changes = {}
    if seen - record.since >= rule.within then
      changes.streak = 0
    end
    if failed then
      local rows, times, who = {}, {}, {}
      if #record.times > 0 and seen - record.times[#record.times] < DAY then
        rows = record.rows
      end
      if rule.consecutive > 0 then
        rows = in_a_row(rows, number, 1)
      end
      for i = 1, #record.times do
        if record.times[i] > seen - rule.within then
          times[#times + 1] = record.times[i]
        end
      end
      times[#times + 1] = seen
      for i = 1, #record.who do
        if record.who[i][2] > seen - DAY and record.who[i][1] ~= reporter then
          who[#who + 1] = record.who[i]
        end
      end
      who[#who + 1] = { reporter, seen }
      changes.fails, changes.rows = record.fails + 1, rows
      changes.times = last(times, max(rule.failures, 1))
      changes.who = last(who, rule.quorum)
    else
      changes.slow = record.slow + 1
    end
    c = with(c, replaced(record, changes), max(c[2], DAY))
    local trips
    if failed then
      trips = tripped(rule, c)
    else
      trips = dragged(rule, c)
    end
    if trips then
      return opened(rule, c), 1
    end
    return c, 0
  end

  local function uncounted(c, number)
    local record, changes = c.record, {}
    if number > c[7] then
      changes.cancelled = min(record.cancelled + 1, c[6] - c[7])
    elseif record.past ~= '' then
      local past = slots(record.past)
      for i = #past, 1, -1 do
        if number > past[i][2] then
          past[i][3] = max(0, past[i][3] - 1)
          break
        end
      end
      changes.past = packed(past)
    end
    if #record.rows > 0 then
      changes.rows = in_a_row(record.rows, number, 0)
    end
    return with(c, replaced(record, changes))
  end

  -- the state, and what it changed to: 0 nothing, 1 open, 2 closed
  function Circuit.record(rule, c, permit, outcome, reporter)
    local gen, number, token = unpack(permit)
    local seen, mode, held = c[1], c[3], false
    if token ~= 0 then
      local leases = {}
      for i = 1, #c.record.leases do
        local lease = c.record.leases[i]
        held = held or (lease[1] == token and lease[2] > seen and lease[3] == c[4])
        if lease[1] ~= token then
          leases[#leases + 1] = lease
        end
      end
      c = with(c, replaced(c.record, { leases = leases }))
    end
    if gen == c[4] and mode == HALF_OPEN and held then
      return probed(rule, c, outcome)
    end
    if gen == c[4] and mode == CLOSED then
      if outcome == NEUTRAL then
        return uncounted(c, number), 0
      elseif outcome ~= GOOD then
        return counted(rule, c, number, outcome == FAILED, reporter)
      end
    end
    return c, 0
  end

  -- claims: as domain/idempotency.py

  local Claims = { count = 3 }

  function Claims.present(_, state)
    if not state then
      return
    end
    local seen, keep_for, stage = unpack(state)
    local time, back = steady(seen)
    keep_for = keep_for - (time - seen + back)
    if keep_for <= 0 then
      return
    end
    local claim = claim_of(state)
    if back > 0 then
      claim = replaced(claim, {
        until_ = claim.until_ - back, ends = claim.ends - back,
        sent_at = claim.sent_at ~= 0 and claim.sent_at - back or 0,
      })
    end
    return { time, keep_for, stage, claim = claim }
  end

  local function ended(entry, fence, stage, ttl, answer)
    if stage == SENT and entry[3] ~= SENT then
      stage = FREE
    end
    local seen = entry[1]
    local claim = replaced(entry.claim, {
      fence = fence, owner = 0, until_ = seen, ends = seen, answer = answer,
    })
    return { seen, ttl, stage, claim = claim }
  end

  local function holds(entry)
    return entry[3] == CLAIMED or entry[3] == SENT
  end

  local function mark_sent(entry, fence, target)
    if not entry or entry.claim.fence ~= fence or not holds(entry) then
      return
    end
    local seen, claim = entry[1], entry.claim
    if seen >= claim.until_ then
      return
    end
    local sent_at = claim.sent_at ~= 0 and claim.sent_at or seen
    claim = replaced(claim, { sent_at = sent_at, target = target, answer = NONE })
    return { seen, entry[2], SENT, claim = claim }
  end

  -- commands

  -- keys: circuit, limits, budget, claim
  local function refuse(op, answer, stay)
    for _, rule in ipairs(op.limits) do
      unchanged(rule, rule.key, load(rule.key, rule.count))
    end
    if op.circuit then
      unchanged(op.circuit, op.circuit.key, load(op.circuit.key, 7))
    end
    if op.budget then
      unchanged(op.budget, op.budget.key, load(op.budget.key, 6))
    end
    if op.claim then
      unchanged(Claims, op.claim, load(op.claim, 3))
    end
    return { answer, stay, false }
  end

  local function admit(op)
    local limits, presents, circuit, budget, claim = op.limits, {}, false, false, false
    -- What cannot be read is found before anything is taken.
    if op.circuit then
      circuit = op.circuit:present(load(op.circuit.key, 7))
    end
    local behind = 0
    for i = 1, #limits do
      presents[i] = limits[i]:present(load(limits[i].key, limits[i].count))
      behind = max(behind, presents[i][1] - now)
    end
    if op.budget then
      budget = op.budget:present(load(op.budget.key, 6))
    end
    if op.claim then
      claim = Claims.present(Claims, load(op.claim, 3))
    end

    local turn = joint_wait(presents, limits)
    local wait = turn > 0 and turn + behind or 0
    local permit
    if circuit then
      local stay, needs_token
      circuit, permit, stay, needs_token = op.circuit:admit(circuit, op.token, op.lease + wait)
      if not permit and not needs_token and not op.circuit.shadow then
        return refuse(op, op.circuit:is_open(circuit) and CIRCUIT_OPEN or PROBES_TAKEN, stay)
      elseif needs_token and wait <= op.within then
        return refuse(op, NEEDS_TOKEN, 0)
      end
    end
    if wait > op.within then
      return refuse(op, LIMITED, wait)
    end
    local kept = op.ticketed or wait > 0
    local reply = { GO, wait, permit or false }
    for i = 1, #limits do
      local ticket
      presents[i], ticket = limits[i]:grant(presents[i], limits[i].cost, presents[i][1] + turn, kept)
      if kept then
        reply[3 + i] = ticket
      end
    end
    if budget then
      local spent = op.budget:spend(budget, op.retry)
      if not spent then
        return refuse(op, NO_BUDGET, (budget[3] + 1) * op.budget.period - budget[1])
      end
      budget = spent
    end
    if op.claim then
      claim = mark_sent(claim, op.fence, op.target)
      if not claim then
        return refuse(op, FENCED, 0)
      end
      put(op.claim, claim)
    end
    if circuit then
      put(op.circuit.key, circuit)
    end
    for i = 1, #limits do
      put(limits[i].key, presents[i])
    end
    if budget then
      put(op.budget.key, budget)
    end
    return reply
  end

  local function prepared(op)
    for _, rule in ipairs(op.limits) do
      setmetatable(rule, LIMITS[rule.kind])
    end
    local c = op.circuit
    if c and not c.width then
      local shadow
      shadow, c.width, c.span, c.keep_for, c.longest, c.probes =
        unpack_from('<Bi8i8i8i8i8', op.blob, c.at + 1)
      c.shadow = shadow == 1
      setmetatable(c, Circuit)
    end
    if op.budget then
      setmetatable(op.budget, Budget)
    end
    return op
  end

  local function tickets_of(blob, at, keys, limits)
    local op = {}
    for i = 1, limits do
      local r, size = {}, nil
      r.kind, r.n, r.price, r.room, r.refill, r.shape, size, at =
        unpack_from('<Bi8i8i8i8Bc0B', blob, at)
      r.key, r.ticket = keys[i], {}
      for j = 1, size do
        r.ticket[j], at = unpack_from('<i8', blob, at)
      end
      op[i] = setmetatable(r, LIMITS[r.kind])
    end
    return op, at
  end

  local function confirm(blob, keys)
    local asked, limits, at = unpack_from('<BB', blob, 2)
    local op
    op, at = tickets_of(blob, at, keys, limits)
    local circuit, permit = nil, {}
    if asked == 1 then
      circuit = setmetatable({}, Circuit)
      circuit.timed, circuit.shadow, circuit.width, circuit.span, circuit.keep_for, circuit.longest,
        circuit.probes, circuit.grid, circuit.calm, permit[1], permit[2], permit[3] =
        unpack_from('<BBi8i8i8i8i8i8Bc0i8i8i8', blob, at)
      circuit.timed, circuit.shadow = circuit.timed == 1, circuit.shadow == 1
    end
    local wait = 0
    for i = 1, limits do
      local r = op[i]
      local present = r:present(load(r.key, r.count))
      if #r.ticket > 0 then
        local turn = r:confirm(present, r.ticket)
        wait = max(wait, turn > 0 and turn + present[1] - now or 0)
      end
    end
    local function same()
      for i = 1, limits do
        unchanged(op[i], op[i].key, load(op[i].key, op[i].count))
      end
    end
    if not circuit then
      same()
      return { GO, wait }
    end
    local key = keys[#keys]
    local state = load(key, 7)
    local c, stay = circuit:confirm(circuit:present(state), permit, wait)
    same()
    if stay > 0 and not circuit.shadow then
      unchanged(circuit, key, state)
      return { CIRCUIT_OPEN, stay }
    elseif wait > 0 and permit[3] ~= 0 then
      put(key, c)
    else
      unchanged(circuit, key, state)
    end
    return { GO, wait }
  end

  local function give_back(blob, keys)
    local op = tickets_of(blob, 3, keys, byte(blob, 2))
    local after = {}
    for i = 1, #op do
      local r = op[i]
      local state = load(r.key, r.count)
      after[i] = state and r:refund(r:present(state), r.ticket)
    end
    for i = 1, #op do
      put(op[i].key, after[i])
    end
    return 0
  end

  local function hold(blob, keys)
    local limits, pause, at = unpack_from('<Bi8', blob, 2)
    local op, after = tickets_of(blob, at, keys, limits), {}
    for i = 1, #op do
      after[i] = op[i]:drain(op[i]:present(load(op[i].key, op[i].count)), pause)
    end
    for i = 1, #op do
      put(op[i].key, after[i])
    end
    return 0
  end

  local function report(blob, keys)
    local rule, permit = setmetatable({ opens = {} }, Circuit), {}
    local outcome, opens, at
    rule.timed, rule.width, rule.span, rule.keep_for, rule.longest, rule.within, rule.failures,
      rule.consecutive, rule.quorum, rule.minimum, rule.rated, rule.failure_share,
      rule.slow_share, rule.successes, opens, at =
      unpack_from('<Bi8i8i8i8i8i8i8i8i8Bi8i8i8B', blob, 2)
    rule.timed, rule.rated = rule.timed == 1, rule.rated == 1
    rule.grid = rule.timed and rule.width or -rule.width
    for i = 1, opens do
      rule.opens[i], at = unpack_from('<i8', blob, at)
    end
    outcome, permit[1], permit[2], permit[3], at = unpack_from('<Bi8i8i8', blob, at)
    local reporter = sub(blob, at)
    local present = rule:present(load(keys[1], 7))
    local circuit, became = rule:record(present, permit, outcome, reporter)
    put(keys[1], circuit)
    return became
  end

  local function claim(blob, keys)
    local key = keys[1]
    local me, at = {}, nil
    local lease, term, ttl, remembered
    me.owner, lease, term, ttl, remembered, at = unpack_from('<i8i8i8i8i8', blob, 2)
    me.fingerprint, at = unpack_from('<I4c0', blob, at)
    me.target = unpack_from('<I4c0', blob, at)
    local state = load(key, 3)
    local entry = Claims.present(Claims, state)
    local function take(time, fence, earlier)
      local ends = max(earlier, time + term)
      put(key, { time, ends - time + ttl, CLAIMED, claim = {
        fingerprint = me.fingerprint, fence = fence, owner = me.owner, until_ = time + lease,
        ends = ends, sent_at = 0, target = me.target, answer = NONE,
      } })
      return { RUN, fence, max(0, earlier - time) }
    end
    if not entry then
      return take(now, now, 0)
    end
    local seen, stage, held = entry[1], entry[3], entry.claim
    local verdict
    if held.fingerprint ~= me.fingerprint then
      verdict = { CONFLICT, 0, 0 }
    elseif stage == DONE then
      verdict = { REPLAY, 0, 0, held.answer }
    elseif stage ~= FREE and held.owner == me.owner and seen < held.until_ then
      verdict = { stage == CLAIMED and RUN or ASK_AGAIN, held.fence, 0 }
    elseif stage == FREE or (stage == CLAIMED and seen >= held.until_) then
      return take(seen, held.fence + 1, held.ends)
    elseif seen < held.until_ then
      verdict = { BUSY, 0, held.until_ - seen }
    else
      local ends = seen + term
      if held.target == me.target and ends <= held.sent_at + remembered then
        ends = max(ends, held.ends)
        put(key, { seen, ends - seen + ttl, SENT, claim = replaced(held, {
          fence = held.fence + 1, owner = me.owner, until_ = seen + lease, ends = ends,
          answer = NONE,
        }) })
        return { ASK_AGAIN, held.fence + 1, 0 }
      end
      verdict = { UNKNOWN, 0, max(0, held.ends - seen) }
    end
    unchanged(Claims, key, state)
    return verdict
  end

  local function settle(blob, keys)
    local fence, stage, ttl, at = unpack_from('<i8Bi8', blob, 2)
    local state = load(keys[1], 3)
    local entry = Claims.present(Claims, state)
    if not entry then
      return { 0, 0, NONE }
    end
    local held = entry.claim
    local behind = held.fence - fence
    local late = stage == DONE and entry[3] ~= DONE and behind >= 0 and behind < ONE_LIFE
    if late or (behind == 0 and holds(entry)) then
      put(keys[1], ended(entry, fence, stage, ttl, sub(blob, at)))
      return { 1, 0, NONE }
    end
    local mine = held.fence == fence and entry[3] == (stage == SENT and FREE or stage)
    unchanged(Claims, keys[1], state)
    return { mine and 1 or 0, entry[3] == DONE and 1 or 0, held.answer }
  end

  local function withdraw(blob, keys)
    local owner, ttl = unpack_from('<i8i8', blob, 2)
    local state = load(keys[1], 3)
    local entry = Claims.present(Claims, state)
    if not entry then
      return 0
    elseif entry.claim.owner ~= owner or not holds(entry) then
      unchanged(Claims, keys[1], state)
    else
      put(keys[1], ended(entry, entry.claim.fence, SENT, ttl, NONE))
    end
    return 0
  end

  local function renewed(entry, fence, lease, ttl)
    local claim = entry.claim
    if claim.fence ~= fence or not holds(entry) or claim.owner == 0 then
      return
    end
    claim = replaced(claim, { until_ = max(claim.until_, entry[1] + lease) })
    return { entry[1], max(entry[2], lease + ttl), entry[3], claim = claim }
  end

  local function renew(blob, keys)
    local lease, at = unpack_from('<i8', blob, 2)
    local after, mine = {}, {}
    for i = 1, #keys do
      local fence, ttl
      fence, ttl, at = unpack_from('<i8i8', blob, at)
      local entry = Claims.present(Claims, load(keys[i], 3))
      after[i] = entry and renewed(entry, fence, lease, ttl)
      mine[i] = after[i] and 1 or 0
    end
    for i = 1, #keys do
      if after[i] then
        put(keys[i], after[i])
      else
        unchanged(Claims, keys[i], load(keys[i], 3))
      end
    end
    return mine
  end

  local function bytes_of(i)
    local state = cells[i]
    return changed[i] and state and packed_state(state) or stored[i]
  end

  -- for commands that are decided elsewhere: what is stored, and a change of it if it still is

  local function look(_, keys)
    local found = { now }
    for i = 1, #keys do
      local bytes = bytes_of(keys[i])
      found[i + 1] = type(bytes) == 'table' and 0 or bytes
    end
    return found
  end

  local function swap(blob, keys)
    local at, after = 2, {}
    for i = 1, #keys do
      local there, writes, expected, written, lasts
      there, writes, expected, at = unpack_from('<BBI4c0', blob, at)
      local bytes = bytes_of(keys[i])
      if there == 0 then
        expected = false
      end
      if bytes ~= expected then
        return 0
      end
      if writes == 1 then
        lasts, written, at = unpack_from('<i8I4c0', blob, at)
        after[#after + 1] = { keys[i], written, lasts }
      end
    end
    for i = 1, #after do
      local key = after[i][1]
      stored[key], cells[key], changed[key] = after[i][2], nil, true
      lasting[key] = after[i][3]
    end
    return 1
  end

  local COMMANDS = {
    [1] = admit, [2] = confirm, [3] = give_back, [4] = hold, [5] = report, [6] = claim,
    [7] = settle, [8] = withdraw, [9] = look, [10] = swap, [11] = renew,
  }

  return { commands = COMMANDS, prepared = prepared }
end

-- --- one command after another ---------------------------------------------------------------

local all = {}
for i = 1, #KEYS do
  all[i] = i
end
local replies = {}
for at = 2, #ARGV, 3 do
  local where, times, blob = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local keys = all
  if where ~= '' then
    keys = {}
    for i = 1, #where / 2 do
      local high, low = byte(where, 2 * i - 1, 2 * i)
      keys[i] = high * 256 + low
    end
  end
  local code = byte(blob)
  local op = code == 1 and admission(blob, keys)
  for _ = 1, tonumber(times) do
    local ok, reply = nil, nil
    if op then
      ok, reply = pcall(calm, op)
    elseif code == 2 then
      ok, reply = pcall(calm_confirm, blob, keys)
    end
    if ok == nil or (ok and not reply) then
      full = full or everything()
      if op then
        ok, reply = pcall(full.commands[1], full.prepared(op))
      else
        ok, reply = pcall(full.commands[code], blob, keys)
      end
    end
    if not ok and type(reply) ~= 'table' then
      reply = { -1, 'unreadable' }
    end
    replies[#replies + 1] = reply
  end
end

-- All is packed before the first is written.
for i = 1, #KEYS do
  local state = changed[i] and cells[i]
  if state then
    stored[i] = packed_state(state)
    lasting[i] = state[1] + state[2] - now
  end
end
for i = 1, #KEYS do
  if changed[i] then
    local lasts = max(0, ceil(lasting[i] / 1000)) + MARGIN
    local done = redis.pcall('SET', KEYS[i], stored[i], 'PX', lasts)
    if done.err then
      return done
    end
  end
end
return replies
