-- wrk's requests and its answer. Arguments after `--`: the number of routes. One route asks for `/`; several ask for
-- `/route-00000/item` … in an order that leaves no route out and follows no pattern a branch predictor or a cache likes.
local requests, position, stride = {}, 0, 7919

function init(arguments)
    local routes = tonumber(arguments[1])
    if routes == 1 then
        requests[0] = wrk.format("GET", "/")
    else
        for route = 0, routes - 1 do
            requests[route] = wrk.format("GET", string.format("/route-%05d/item", route))
        end
    end
    requests.count = routes
end

function request()
    position = (position + stride) % requests.count
    return requests[position]
end

function done(summary)
    local errors = summary.errors
    io.write(string.format("RESULT %d %d %d %d\n", summary.requests, summary.duration, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout))
end
