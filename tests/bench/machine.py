"""The machine under the measurement: its two cores, its limits, its peers' versions, and whether it is quiet enough."""

import os
import platform
import resource
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target"))
PEERS = TARGET / "peers"

_cores = sorted(os.sched_getaffinity(0))
PROXY_CORE = _cores[0]
LOAD_CORE = _cores[1] if len(_cores) > 1 else _cores[0]


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def program(name: str) -> str:
    """The path of a program; Debian keeps servers in /usr/sbin, which a user's PATH may lack."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        sys.exit(f"bench: {name} is not installed (tests/peers/install load)")
    return found


def install(names: list[str]) -> None:
    subprocess.run([TOP / "tests/peers/install", *names], check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def raise_file_limit() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def describe(peers: list[str]) -> dict:
    load = os.getloadavg()[0]
    warnings = []
    if len(_cores) < 2:
        warnings.append("one core only: the proxy shares it with the load generator, so throughput and latency mean little")
    if load > 0.7:
        warnings.append(f"the machine is busy (load average {load:.1f}): compare CPU per request, not throughput or latency")
    return {
        "cpu": _cpu_model(),
        "cores": len(_cores),
        "kernel": platform.release(),
        "load_average": round(load, 2),
        "versions": {name: _version(name) for name in ("wrk", "h2load", *peers)},
        "warnings": warnings,
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _version(name: str) -> str:
    command = {
        "envoy": [PEERS / "envoy", "--version"],
        "haproxy": [program("haproxy"), "-v"],
        "nginx": [program("nginx"), "-v"],
        "wrk": [program("wrk"), "--version"],
        "h2load": [program("h2load"), "--version"],
    }[name]
    output = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    words = " ".join((output.stdout + output.stderr).replace("/", " ").split()).split(" ")
    for word in words:
        if word[0].isdigit() and word.count(".") >= 1 and len(word) < 30:
            return word.rstrip(",")
    return "unknown"
