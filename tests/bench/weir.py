"""weir, set up as a user would: a control plane on an embedded store, a policy applied with the command line, one sidecar."""

import http.client
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import load
from load import Target
from machine import LOAD_CORE, PROXY_CORE, TARGET, TOP, say
from peers import AUTHORITY, Proxy, Setup, Upstream
from process import Children, Failure, Process, free_port, wait_for

_SERVICE, _PORT = AUTHORITY.split(".")[0], int(AUTHORITY.split(":")[1])
_RULES_PER_ROUTE = 16  # as many as the Gateway API allows in one HTTPRoute


@dataclass(frozen=True)
class Binaries:
    """weir's programs, built as they ship: the `measured` profile."""

    control_plane: Path
    sidecar: Path
    command: Path
    fleet: Path
    hotnode: Path

    @staticmethod
    def find_or_build(directory: Path | None, cases: list[str]) -> "Binaries":
        tools = [f"weir-{name}" for name in ("fleet", "hotnode") if name in cases]
        if directory is None:
            say("cargo build --profile measured")
            packages = ["-p", "weir-sidecar", "-p", "weir-control-plane", "-p", "weir-cli", *(["-p", "weir-tests"] if tools else [])]
            subprocess.run(["cargo", "build", "--profile", "measured", "--bins", *packages],
                           cwd=TOP, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
            directory = TARGET / "measured"
        names = ["weir-control-plane", "weir-sidecar", "weir"]
        for path in (directory / name for name in [*names, *tools]):
            if not path.exists():
                sys.exit(f"bench: {path} does not exist")
        return Binaries(*(directory / name for name in [*names, "weir-fleet", "weir-hotnode"]))


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane, and where its three listeners are."""

    process: Process
    policy: str
    xds: str
    admin: int


def start_control_plane(children: Children, binaries: Binaries) -> ControlPlane:
    policy, xds, admin = (free_port() for _ in range(3))
    process = children.start(
        "weir-control-plane",
        [binaries.control_plane, "--data-dir", children.directory("store"), "--policy-listen", f"127.0.0.1:{policy}",
         "--xds-listen", f"127.0.0.1:{xds}", "--admin-listen", f"127.0.0.1:{admin}"],
        LOAD_CORE,
    )
    wait_for(process, lambda: _must_be_ready(admin))
    return ControlPlane(process, f"127.0.0.1:{policy}", f"127.0.0.1:{xds}", admin)


def start_sidecar(children: Children, binaries: Binaries, upstream: Upstream, setup: Setup,
                  under: list | tuple = (), flags: list | tuple = ()) -> Proxy:
    """A control plane which knows `setup` and a sidecar which serves it: what the load measures is the sidecar. It runs `under` the
    command of a profiler, if there is one, and with more `flags`."""
    control_plane = start_control_plane(children, binaries)
    manifest = children.directory("policy") / "bench.yaml"
    manifest.write_text("\n---\n".join(json.dumps(document) for document in documents(upstream, setup)))
    applied = subprocess.run([binaries.command, "apply", "--server", control_plane.policy, "-f", manifest],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if applied.returncode != 0:
        raise Failure(f"weir apply ended with status {applied.returncode}:\n{applied.stdout[-2000:]}{applied.stderr[-2000:]}")

    outbound, admin = free_port(), free_port()
    process = children.start(
        "weir-sidecar",
        [*under, binaries.sidecar, "--xds", control_plane.xds, "--node-id", "bench-client", "--service", "default/client",
         "--outbound", f"127.0.0.1:{outbound}", "--admin-listen", f"127.0.0.1:{admin}", "--workers", setup.threads,
         "--state-dir", children.directory("state"), *flags],
        PROXY_CORE,
    )
    target = Target(outbound, AUTHORITY, setup.http2, setup.routes)
    wait_for(process, lambda: load.must_answer(target))
    return Proxy(process, target)


def documents(upstream: Upstream, setup: Setup) -> list[dict]:
    """The policy: a Service, its declared Workloads, and as many HTTPRoutes as the number of rules takes."""
    protocol = "kubernetes.io/h2c" if setup.http2 else "http"
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": _SERVICE, "namespace": "default"},
        "spec": {"selector": {"app": "bench"}, "ports": [{"name": "http", "port": _PORT, "appProtocol": protocol}]},
    }
    workloads = [
        {"apiVersion": "weir.dev/v1", "kind": "Workload",
         "metadata": {"name": f"bench-{index}", "namespace": "default", "labels": {"app": "bench"}},
         "spec": {"address": address, "ports": {"http": upstream.port(setup)}}}
        for index, address in enumerate(setup.addresses())
    ]
    rules = [
        {"matches": [{"path": {"type": "PathPrefix", "value": setup.prefix(route)}}],
         "backendRefs": [{"name": _SERVICE, "port": _PORT}]}
        for route in range(setup.routes)
    ]
    routes = [
        {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
         "metadata": {"name": f"bench-{first}", "namespace": "default"},
         "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": _SERVICE, "port": _PORT}],
                  "rules": rules[first:first + _RULES_PER_ROUTE]}}
        for first in range(0, len(rules), _RULES_PER_ROUTE)
    ]
    return [service, *workloads, *routes, *_traffic_policy(setup)]


def _traffic_policy(setup: Setup) -> list[dict]:
    """How to balance, if that was said: weir's default otherwise."""
    if setup.balancing is None:
        return []
    return [{
        "apiVersion": "weir.dev/v1", "kind": "TrafficPolicy", "metadata": {"name": "bench", "namespace": "default"},
        "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": _SERVICE}],
                 "loadBalancing": {"policy": setup.balancing}},
    }]


def _must_be_ready(admin: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=2)
    try:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        if answer.status != 200:
            raise Failure(f"/ready answers {answer.status}: {answer.read(200)!r}")
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"/ready: {error}") from None
    finally:
        connection.close()
