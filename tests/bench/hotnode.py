"""A hot node: ten endpoints of which one takes ten times as long, and a load that does not wait for it.

All proxies are up at the same time and have their turn one after the other. The endpoints and the load are `weir-hotnode`, whose
source says what they do. A turn ends when every request has its answer, so nothing is left over for the next one.
"""

import json
import os
import subprocess
from statistics import median

from machine import LOAD_CORE, say
from peers import AUTHORITY, Proxy, Setup, Upstream, start_envoy
from process import Children, Failure, free_port, wait_for

import load
import weir

ENDPOINTS, SLOWER = 10, 10
_THREADS = 2  # so that what one thread knows and the others do not would show
_RATE = 1600  # per second: 44 % of what the nine quick ones can do, four times what the slow one can
_ROUNDS, _SECONDS, _WARM_UP = 3, 2.5, 1.0
PEAK_EWMA = "weir, peak EWMA"
_SUBJECTS = (
    ("weir, default", "weir", None),
    ("weir, round robin", "weir", "RoundRobin"),
    ("weir, least request", "weir", "LeastRequest"),
    (PEAK_EWMA, "weir", "PeakEwma"),
    ("envoy, ROUND_ROBIN", "envoy", "RoundRobin"),
    ("envoy, LEAST_REQUEST", "envoy", "LeastRequest"),
)


def run(options, children: Children, binaries) -> dict:
    rounds, seconds = options.rounds or _ROUNDS, options.seconds or _SECONDS
    rate = options.rate or _RATE
    upstream = _serve(children, binaries)
    subjects = [(name, _start(children, binaries, upstream, proxy, balancing), [])
                for name, proxy, balancing in _SUBJECTS if proxy == "weir" or proxy in options.peers]
    for turn in range(rounds):
        # There and back: what drifts in the machine falls on all alike. The same requests for all, others in each round.
        for name, proxy, samples in subjects if turn % 2 == 0 else subjects[::-1]:
            sample = _load(binaries, proxy, rate, seconds, seed=turn + 1)
            proxy.process.must_live()
            samples.append(sample)
            say(f"hotnode: round {turn + 1}: {name}: p99 {sample['p99_ms']:.1f} ms, slow {sample['slow'] / sample['sent']:.2%}, "
                f"failed {sample['failed'] / sample['sent']:.2%}")
    return {
        "name": "hotnode", "kind": "hotnode", "rate": rate, "seconds": seconds,
        "title": f"A hot node: {ENDPOINTS} endpoints, one {SLOWER} times slower, {rate} requests/s whatever comes of them",
        "subjects": [_summary(name, samples) for name, _, samples in subjects],
        "ratios": [_ratio(subjects, name) for name, _, _ in subjects if name != PEAK_EWMA],
    }


def _serve(children: Children, binaries) -> Upstream:
    port = free_port()
    process = children.start(
        "weir-hotnode", [binaries.hotnode, "serve", "--port", port, "--endpoints", ENDPOINTS, "--slower", SLOWER], LOAD_CORE)
    wait_for(process, lambda: load.must_answer(load.Target(port, AUTHORITY, http2=False, routes=1)))
    return Upstream(process, http1=port, http2=0)


def _start(children: Children, binaries, upstream: Upstream, proxy: str, balancing: str | None) -> Proxy:
    setup = Setup(endpoints=ENDPOINTS, threads=_THREADS, balancing=balancing)
    if proxy == "weir":
        return weir.start_sidecar(children, binaries, upstream, setup)
    return start_envoy(children, upstream, setup)


def _load(binaries, proxy: Proxy, rate: int, seconds: float, seed: int) -> dict:
    command = [binaries.hotnode, "load", "--target", f"127.0.0.1:{proxy.target.port}", "--host", proxy.target.authority,
               "--rate", rate, "--seconds", seconds, "--warm-up", _WARM_UP, "--seed", seed, "--slow", ENDPOINTS - 1]
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=seconds + 60, preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE}))
    if done.returncode != 0:
        raise Failure(f"weir-hotnode load ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def _summary(name: str, samples: list[dict]) -> dict:
    latencies = {key: median(sample[key] for sample in samples) for key in ("p50_ms", "p99_ms", "p999_ms", "late_ms")}
    sent = sum(sample["sent"] for sample in samples)
    return {"name": name, **latencies, "rounds": samples,
            "slow_share": sum(sample["slow"] for sample in samples) / sent,
            "failed_share": sum(sample["failed"] for sample in samples) / sent}


def _ratio(subjects: list, other: str) -> dict:
    """The median over the rounds of peak EWMA's figure by the other's in the same round."""
    by_name = {name: samples for name, _, samples in subjects}
    ratios = {key: median(mine[key] / theirs[key] for mine, theirs in zip(by_name[PEAK_EWMA], by_name[other]) if theirs[key])
              for key in ("p50_ms", "p99_ms", "p999_ms")}
    return {"of": PEAK_EWMA, "to": other, **ratios}
