-- For wrk: sends the requests of a file, one after the other and again from the start. The file has, for each request, a token, a path and a body, each
-- on a line of its own. Prints what came of it as one line of JSON.
local requests = {}
local at = 0

function init(args)
  local file = assert(io.open(args[1], "r"))
  while true do
    local token = file:read("*l")
    local path = file:read("*l")
    local body = file:read("*l")
    if token == nil or body == nil then break end
    local headers = { ["Content-Type"] = "application/json", ["Accept"] = "application/json", ["Authorization"] = "Bearer " .. token }
    requests[#requests + 1] = wrk.format("POST", path, headers, body)
  end
  file:close()
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests":%d,"seconds":%f,"failed":%d,"p50":%f,"p99":%f}',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
