"""The load generators: wrk for HTTP/1.1 at full speed, h2load for HTTP/2 and wherever a rate is held."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from machine import LOAD_CORE, program
from process import Failure

CONNECTIONS = 64
H2_CONNECTIONS, H2_STREAMS = 8, 16
# h2load wakes each connection every 10 ms at most: above a hundred requests a second per connection they come in
# bunches, and a bunch measures itself.
SMOOTH_RATE = 95 * CONNECTIONS


@dataclass(frozen=True)
class Target:
    """Where the load goes and what it asks for."""

    port: int
    authority: str
    http2: bool
    routes: int

    def path(self, route: int) -> str:
        return "/" if self.routes == 1 else f"/route-{route:05d}/item"


def full_speed(target: Target, seconds: float) -> tuple[int, float]:
    """As many requests as the proxy takes; returns how many were answered, in how many seconds. Any answer but 2xx is a
    failure."""
    if target.http2:
        return _h2load(target, ["-c", H2_CONNECTIONS, "-m", H2_STREAMS, "-D", f"{round(seconds * 1000)}ms"], seconds), seconds
    output = _run(
        [program("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "-s",
         Path(__file__).with_name("load.lua"), "-H", f"Host: {target.authority}", f"http://127.0.0.1:{target.port}/",
         "--", target.routes],
        seconds,
    )
    result = re.search(r"^RESULT (\d+) (\d+) (\d+) (\d+)$", output, re.MULTILINE)
    if not result:
        raise Failure(f"wrk said nothing we know:\n{output}")
    requests, microseconds, bad_status, broken = map(int, result.groups())
    if bad_status or broken or not requests:
        raise Failure(f"wrk: {requests} requests, {bad_status} with another status than 2xx, {broken} broken")
    return requests, microseconds / 1e6


def so_many(target: Target, requests: int, seconds: float) -> None:
    """Exactly so many requests, as fast as the proxy takes them, in `seconds` at most."""
    connections, streams = (H2_CONNECTIONS, H2_STREAMS) if target.http2 else (CONNECTIONS, 1)
    good = _h2load(target, ["-c", connections, "-m", streams, "-n", requests], seconds)
    if good != requests:
        raise Failure(f"h2load: {good} of {requests} requests were answered")


def held_rate(target: Target, rate: int, seconds: float, log: Path) -> tuple[list[float], float]:
    """`rate` requests per second over connections opened a millisecond apart; returns the milliseconds which each took,
    sorted, and the rate that came of it."""
    per_connection = rate / CONNECTIONS
    requests = int(per_connection * seconds) * CONNECTIONS
    log.unlink(missing_ok=True)
    _h2load(
        target,
        ["-c", CONNECTIONS, "-m", H2_STREAMS if target.http2 else 1, "-n", requests, "-r", 1, "--rate-period", "1ms",
         "--rps", f"{per_connection:.3f}", f"--log-file={log}"],
        seconds,
    )
    rows = [(int(start), int(took)) for start, _, took, *_ in map(str.split, log.read_text().splitlines())]
    elapsed = (max(start + took for start, took in rows) - min(start for start, _ in rows)) / 1e6
    return sorted(took / 1000 for _, took in rows), len(rows) / elapsed


def must_answer(target: Target) -> None:
    """One request to the first route and one to the last; fails unless both give a 2xx."""
    for route in {0, target.routes - 1}:
        _h2load(target, ["-c", 1, "-m", 1, "-n", 1], 1, uris=[_uri(target, route)])


def _h2load(target: Target, flags: list, seconds: float, uris: list[str] | None = None) -> int:
    uris = uris or [_uri(target, (route * 7919) % target.routes) for route in range(target.routes)]
    command = [program("h2load"), "-t", 1, *flags, "--connection-inactivity-timeout=10s", "-p",
               "h2c" if target.http2 else "http/1.1", f"--connect-to=127.0.0.1:{target.port}", "-i", "-"]
    output = _run(command, seconds, input="\n".join(uris) + "\n")
    counts = re.search(r"^requests: (\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output, re.MULTILINE)
    statuses = re.search(r"^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output, re.MULTILINE)
    if not counts or not statuses:
        raise Failure(f"h2load said nothing we know:\n{output}")
    _, succeeded, failed, _, timed_out = map(int, counts.groups())
    good, *bad = map(int, statuses.groups())
    if failed or timed_out or any(bad) or not good or not succeeded:
        raise Failure(f"h2load: {counts.group(0)}; {statuses.group(0)}")
    return good


def _uri(target: Target, route: int) -> str:
    return f"http://{target.authority}{target.path(route)}"


def _run(command: list, seconds: float, input: str | None = None) -> str:
    try:
        done = subprocess.run(
            [str(word) for word in command], input=input, capture_output=True, text=True, timeout=seconds + 60,
            preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE}), **({} if input else {"stdin": subprocess.DEVNULL}),
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"{command[0]} did not end {seconds + 60:.0f} s after its start") from None
    if done.returncode != 0:
        raise Failure(f"{command[0]} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
