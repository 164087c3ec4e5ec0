-- What HAProxy's own health checks lack to behave as the load balancer promises. In front of this stands a table
-- `promised`: by backend, the seconds between the beginning of the first failed check and the end of the last one needed.
--
-- 1. A target that was never asked takes traffic after its first good answer. By itself, HAProxy either sends traffic
--    unasked or waits for as many good answers as one needs that had failed.
-- 2. HAProxy counts the interval from the end of a check to the beginning of the next, so that a target that does not
--    answer at all would be found out late, by one time-out for each check. It is given up at the time promised.
-- 3. Connections to targets that are removed are cut. A process that only ends what it has begun does not take HAProxy's
--    own commands for that, so there is one here: `cut all but ADDRESS,ADDRESS…`.
local function seconds()
  local now = core.now()
  return now.sec + now.usec / 1000000
end

local pause = 0.05
local targets = {}

local function look(target)
  local seen = target.server:get_stats()
  local last = seen["check_status"] or ""
  if last:find("INI$") then
    return
  end
  local asking, good, up = last:find("^%* ") ~= nil, last:find("OK") ~= nil, seen["status"]:find("^UP") ~= nil
  if target.unasked and good and not up then
    target.server:check_force_up()
  end
  target.unasked = false
  if target.well == nil or (good and not asking) then
    target.well = seconds()
  elseif up and seconds() - target.well >= target.promised + pause then
    target.server:check_force_down()
  end
end

-- Before the first check begins.
core.register_init(function()
  for name, backend in pairs(core.backends) do
    if promised[name] then
      for address, server in pairs(backend.servers) do
        local unasked = (server:get_stats()["check_status"] or ""):find("INI$") ~= nil
        targets[#targets + 1] = { address = address, server = server, promised = promised[name], unasked = unasked }
      end
    end
  end
end)

core.register_task(function()
  while #targets > 0 do
    for _, target in ipairs(targets) do
      look(target)
    end
    core.msleep(pause * 1000)
  end
end)

core.register_cli({ "cut", "all", "but" }, "cut all but ADDRESS,... : end connections to other targets", function(_, ...)
  local kept = {}
  for address in (select(4, ...) or ""):gmatch("[^,]+") do
    kept[address] = true
  end
  for _, target in ipairs(targets) do
    if not kept[target.address] then
      target.server:set_maint()
      target.server:shut_sess()
    end
  end
end)
