"""The cases, and the one way in which each of them is measured: every proxy in turn, round after round."""

import time
from dataclasses import dataclass, field
from functools import partial
from statistics import median

import fleet
import hotnode
import instructions
import load
import weir
from machine import say
from peers import STARTERS, Proxy, Setup, start_upstream
from process import Children

NAMES = ("http1", "http2", "routes", "endpoints", "hotnode", "memory", "fleet", "instructions")
PEERS = tuple(STARTERS)
_COUNTS = {"routes": (10, 1000, 10000), "endpoints": (10, 100, 1000)}
_NO_HTTP2_UPSTREAM = ("nginx",)
_ROUNDS, _SECONDS = 5, 5.0


@dataclass
class Subject:
    """One proxy in one configuration, its measurements (one list entry per round) and their medians."""

    name: str
    proxy: Proxy
    idle_mb: float
    samples: dict = field(default_factory=dict)
    loaded_mb: float = 0.0

    def add(self, **measured: float) -> None:
        for metric, value in measured.items():
            self.samples.setdefault(metric, []).append(value)

    def summary(self) -> dict:
        medians = {metric: median(values) for metric, values in self.samples.items()}
        return {"name": self.name, "idle_mb": self.idle_mb, "loaded_mb": self.loaded_mb, **medians, "rounds": self.samples}


def run(options, children: Children, binaries) -> list[dict]:
    starters = {name: STARTERS[name] for name in options.peers}
    if binaries:
        starters = {"weir": partial(_start_weir, binaries), **starters}
    results = []
    for name in options.only:
        if name == "fleet":
            if binaries:
                results.append(fleet.run(children, binaries, options.sidecars, options.rounds or _ROUNDS))
        elif name == "hotnode":
            if binaries:
                results.append(hotnode.run(options, children, binaries))
        elif name == "instructions":
            results.append(instructions.run(options, children, binaries))
        else:
            results.append(_CASES[name](options, children, starters))
        children.stop_all()
    return results


def _start_weir(binaries, children, upstream, setup) -> Proxy:
    return weir.start_sidecar(children, binaries, upstream, setup)


def _http1(options, children: Children, starters: dict) -> dict:
    setups = [(name, start, Setup()) for name, start in starters.items()]
    title = f"HTTP/1.1, {load.CONNECTIONS} connections"
    return _measure(options, children, "http1", title, setups, _beside_weir(setups))


def _http2(options, children: Children, starters: dict) -> dict:
    setups = [(name, start, Setup(http2=True)) for name, start in starters.items() if name not in _NO_HTTP2_UPSTREAM]
    title = f"HTTP/2 to the proxy and to the upstream, {load.H2_CONNECTIONS} connections × {load.H2_STREAMS} streams"
    return _measure(options, children, "http2", title, setups, _beside_weir(setups))


def _counted(options, children: Children, starters: dict, *, what: str) -> dict:
    """weir and Envoy with more and more of something, each compared with itself at the least of it."""
    setups, pairs = [], []
    for name in ("weir", "envoy"):
        if name in starters:
            subjects = [(f"{name}, {count} {what}", starters[name], Setup(**{what: count})) for count in _COUNTS[what]]
            pairs += [(subject[0], subjects[0][0]) for subject in subjects[1:]]
            setups += subjects
    title = f"{what.capitalize()}, HTTP/1.1, {load.CONNECTIONS} connections, the requests spread over all of them"
    return _measure(options, children, what, title, setups, pairs)


def _memory(options, children: Children, starters: dict) -> dict:
    """Resident memory with a small configuration and no traffic but the one request which shows that it serves."""
    upstream = start_upstream(children)
    rows = []
    for name, start in starters.items():
        subject = _start(children, upstream, name, start, Setup())
        rows.append({"name": name, "idle_mb": subject.idle_mb})
    return {"name": "memory", "title": "Idle: one service, one route, one endpoint", "kind": "memory", "subjects": rows}


def _beside_weir(setups: list) -> list[tuple[str, str]]:
    names = [name for name, _, _ in setups]
    return [("weir", name) for name in names if name != "weir"] if "weir" in names else []


_CASES = {
    "http1": _http1,
    "http2": _http2,
    "routes": partial(_counted, what="routes"),
    "endpoints": partial(_counted, what="endpoints"),
    "memory": _memory,
}


def _measure(options, children: Children, name: str, title: str, setups: list, pairs: list) -> dict:
    upstream = start_upstream(children)
    subjects = [_start(children, upstream, label, start, setup) for label, start, setup in setups]
    rounds, seconds = options.rounds or _ROUNDS, options.seconds or _SECONDS
    for subject in subjects:
        load.full_speed(subject.proxy.target, 1)  # connections, caches and allocators warm up
    for turn in range(rounds):
        for subject in _order(subjects, turn):
            _full_speed(subject, seconds)
            say(f"{name}: round {turn + 1}: {subject.name}: {subject.samples['cpu_us'][-1]:.1f} µs, "
                f"{subject.samples['throughput'][-1]:.0f}/s")
    slowest = min(median(subject.samples["throughput"]) for subject in subjects)
    rate = options.rate or int(min(load.SMOOTH_RATE, slowest / 2))
    log = children.directory("requests") / "log"
    for turn in range(rounds):
        for subject in _order(subjects, turn):
            _held_rate(subject, rate, seconds, log)
    say(f"{name}: latency measured at {rate}/s")
    return {
        "name": name, "title": title, "kind": "proxies", "rate": rate, "turns": rounds, "seconds": seconds,
        "subjects": [subject.summary() for subject in subjects],
        "ratios": [_ratio(subjects, numerator, denominator) for numerator, denominator in pairs],
    }


def _start(children: Children, upstream, name: str, start, setup: Setup) -> Subject:
    proxy = start(children, upstream, setup)
    time.sleep(1)
    return Subject(name, proxy, proxy.process.resident_mb())


def _order(subjects: list[Subject], turn: int) -> list[Subject]:
    """There and back: what drifts in the machine falls on all alike."""
    return subjects if turn % 2 == 0 else subjects[::-1]


def _full_speed(subject: Subject, seconds: float) -> None:
    process = subject.proxy.process
    before, start = process.cpu_seconds(), time.monotonic()
    requests, took = load.full_speed(subject.proxy.target, seconds)
    used, elapsed = process.cpu_seconds() - before, time.monotonic() - start
    process.must_live()
    subject.loaded_mb = max(subject.loaded_mb, process.resident_mb())
    subject.add(cpu_us=used / requests * 1e6, throughput=requests / took, busy=used / elapsed)


def _held_rate(subject: Subject, rate: int, seconds: float, log) -> None:
    latencies, held = load.held_rate(subject.proxy.target, rate, seconds, log)
    at = lambda share: latencies[min(len(latencies) - 1, int(len(latencies) * share))]
    subject.add(p50_ms=at(0.5), p99_ms=at(0.99), p999_ms=at(0.999), held=held / rate)


def _ratio(subjects: list[Subject], numerator: str, denominator: str) -> dict:
    """The median over the rounds of one subject's figure by the other's in the same round."""
    by_name = {subject.name: subject for subject in subjects}
    above, below = by_name[numerator], by_name[denominator]
    ratios = {
        metric: median(a / b for a, b in zip(above.samples[metric], below.samples[metric]) if b)
        for metric in ("cpu_us", "throughput", "p50_ms", "p99_ms", "p999_ms")
    }
    return {"of": numerator, "to": denominator, **ratios, "loaded_mb": above.loaded_mb / below.loaded_mb}
