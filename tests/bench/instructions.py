"""What one request costs in a processor's instructions and in calls of the allocator: the same on a busy machine as on a quiet one.

The program as it ships runs under valgrind's callgrind. Once it is warm its counters are set to zero, so many requests are sent, and
they are read. Only the program's own instructions count, not the kernel's, and only those of the thread that serves: what others do beside it
goes by the clock.
"""

import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import load
import weir
from machine import program, say
from peers import Proxy, Setup, start_envoy, start_upstream
from process import Children, Failure, free_port

WARM_UP, COUNTED = 2000, 5000
_PATIENCE = 300.0  # seconds for a few thousand requests, some fifty times slower than without callgrind
# What weir asks its allocator, mimalloc, for memory with; a block that grows counts, what the allocator calls in itself does not.
_ALLOCATE = re.compile(r"mi_(malloc|zalloc|calloc|realloc)\w*")
_ALLOCATOR = re.compile(r"_?mi_")


@dataclass
class Profile:
    """What callgrind has counted: instructions in all, and per function; calls of a function per caller."""

    total: int = 0
    own: Counter = field(default_factory=Counter)
    calls: Counter = field(default_factory=Counter)

    def calls_to(self, wanted: re.Pattern) -> int:
        """How often a function of that name was called by anybody but the allocator itself."""
        return sum(count for (caller, callee), count in self.calls.items()
                   if wanted.fullmatch(callee) and not _ALLOCATOR.match(caller))


def run(options, children: Children, binaries) -> dict:
    """weir with HTTP/1.1 and HTTP/2, without and with traces, and Envoy beside it."""
    upstream = start_upstream(children)
    rows = []
    for http2 in (False, True):
        setup = Setup(http2=http2)
        starts = []
        if binaries:
            sidecar = partial(weir.start_sidecar, children, binaries, upstream, setup)
            starts = [("weir", sidecar), ("weir, every request traced", partial(sidecar, flags=_traced()))]
        if "envoy" in options.peers:
            starts.append(("envoy", partial(start_envoy, children, upstream, setup)))
        for name, start in starts:
            row = _count(children, f"{name}, {'HTTP/2' if http2 else 'HTTP/1.1'}", start)
            say(f"instructions: {row['name']}: {row['instructions']:.0f}, allocations {row['allocations']}")
            rows.append(row)
    return {"name": "instructions", "title": "Instructions and allocations of one request", "kind": "instructions", "subjects": rows,
            "requests": COUNTED}


def _traced() -> list:
    """Spans are made and handed on for every request; nobody collects them."""
    return ["--otlp", f"http://127.0.0.1:{free_port()}"]


def _count(children: Children, name: str, start) -> dict:
    counts = children.directory("callgrind") / "counts"
    proxy = start(under=[program("valgrind"), "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={counts}"])
    load.so_many(proxy.target, WARM_UP, _PATIENCE)
    _control(proxy, "--zero")
    load.so_many(proxy.target, COUNTED, _PATIENCE)
    _control(proxy, "--dump")
    threads = [read(path) for path in counts.parent.glob("counts.1-*")]
    profile = max(threads, key=lambda thread: thread.total, default=Profile())
    if not profile.total:
        raise Failure(f"callgrind counted nothing of {name}")
    proxy.process.stop()
    # A program without the names of its functions, as Envoy comes, does not tell who allocates.
    named = any(function.startswith("mi_") for function in profile.own)
    return {"name": name, "instructions": profile.total / COUNTED,
            "allocations": profile.calls_to(_ALLOCATE) / COUNTED if named else None,
            "most": [{"function": function, "share": cost / profile.total} for function, cost in profile.own.most_common(12)]}


def _control(proxy: Proxy, order: str) -> None:
    done = subprocess.run([program("callgrind_control"), order, str(proxy.process.pid)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise Failure(f"callgrind_control {order}:\n{done.stdout}{done.stderr}")


def read(path: Path) -> Profile:
    """A file of callgrind's: `fn=` says whose the costs are which follow, `cfn=` and `calls=` whom it called; the line after `calls=` is the
    callee's cost. A name is written once, then its number only."""
    names, profile, caller, callee, inclusive = {}, Profile(), "", "", False
    with path.open(errors="replace") as lines:
        for line in lines:
            key, equals, value = line.rstrip("\n").partition("=")
            if equals and key in ("fn", "cfn"):
                number, _, name = value.partition(" ")
                name = names.setdefault(number, name) if name else names[number]
                if key == "fn":
                    caller = name
                else:
                    callee = name
            elif equals and key == "calls":
                profile.calls[caller, callee] += int(value.split()[0])
                inclusive = True
            elif line[:1].isdigit() or line[:1] in "+-*":
                if not inclusive:
                    profile.own[caller] += int(line.split()[1])
                inclusive = False
            elif line.startswith("totals: "):
                profile.total = int(line.split()[1])
    return profile
