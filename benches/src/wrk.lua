-- The load of the redirect benchmark, for wrk. Arguments: a folder with the lists links, members and tails (made by
-- visit.rs), a tag that no other run has, what every Location begins with, and "check" to look at every answer.

local threads = {}

function setup(thread)
   thread:set("number", #threads)
   table.insert(threads, thread)
end

local function lines(path)
   local found = {}
   for line in io.lines(path) do found[#found + 1] = line end
   return found
end

local links, members, tails, tag
local sent = 0
wrong = 0

function init(args)
   local folder = args[1]
   links, members, tails = lines(folder .. "/links"), lines(folder .. "/members"), lines(folder .. "/tails")
   for at, tail in ipairs(tails) do tails[at] = tail:gsub("\\r\\n", "\r\n") .. "\r\n\r\n" end
   for at, link in ipairs(links) do links[at] = "GET " .. link end
   tag = "&pub_click_id=" .. args[2] .. "-" .. number .. "-"
   if args[4] == "check" then
      local expected = args[3]
      -- Defined only here: as soon as it exists, wrk hands over every header of every answer, which takes time.
      function response(status, headers)
         local location = headers["location"] or headers["Location"] or ""
         if status ~= 302 or location:sub(1, #expected) ~= expected then wrong = wrong + 1 end
      end
   end
end

function request()
   sent = sent + 1
   return links[sent % #links + 1] .. members[sent % #members + 1] .. tag .. sent .. tails[sent % #tails + 1]
end

function done(summary, latency)
   local bad = 0
   for _, thread in ipairs(threads) do bad = bad + thread:get("wrong") end
   local errors = summary.errors
   io.write(string.format("RESULT requests=%d us=%d wrong=%d status=%d connect=%d read=%d write=%d timeout=%d ",
      summary.requests, summary.duration, bad, errors.status, errors.connect, errors.read, errors.write,
      errors.timeout))
   io.write(string.format("p50=%d p99=%d p999=%d\n",
      latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
