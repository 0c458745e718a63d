"""The control plane with many connected sidecars: `weir-fleet` opens the streams, changes the policy and times it."""

import json
import subprocess

from machine import say
from process import Children, Failure
from weir import Binaries, start_control_plane


def run(children: Children, binaries: Binaries, sidecars: int, rounds: int) -> dict:
    control_plane = start_control_plane(children, binaries)
    idle = control_plane.process.resident_mb()
    say(f"fleet: {sidecars} sidecars")
    done = subprocess.run(
        [binaries.fleet, "--xds", control_plane.xds, "--policy", control_plane.policy,
         "--sidecars", str(sidecars), "--rounds", str(rounds)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600,
    )
    if done.returncode != 0:
        raise Failure(f"weir-fleet ended with status {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    control_plane.process.must_live()
    answer = json.loads(done.stdout)
    return {"name": "fleet", "title": f"The control plane with {answer['sidecars']} connected sidecars", "kind": "fleet",
            "sidecars": answer["sidecars"], "propagation_ms": answer["propagation_ms"],
            "idle_mb": round(idle, 1), "loaded_mb": round(control_plane.process.resident_mb(), 1)}
