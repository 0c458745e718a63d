"""The upstream and the peers: nginx, haproxy and Envoy, each configured to do what weir does and no more."""

import json
from dataclasses import dataclass

from load import Target
from machine import LOAD_CORE, PEERS, PROXY_CORE, program
from process import Children, Process, free_port, wait_for

import load

BODY = "weir".ljust(79, ".") + "\n"  # 80 bytes
AUTHORITY = "bench.default:9080"
_ENVOY_BALANCING = {"RoundRobin": "ROUND_ROBIN", "LeastRequest": "LEAST_REQUEST"}
_FOREVER = 1_000_000_000  # requests on one connection: reconnecting is not what is measured


@dataclass(frozen=True)
class Setup:
    """What a proxy is to be configured for."""

    http2: bool = False
    routes: int = 1
    endpoints: int = 1
    threads: int = 1
    # In weir's words: RoundRobin, LeastRequest, PeakEwma. Absent, weir has its default and the others least request.
    balancing: str | None = None

    def prefix(self, route: int) -> str:
        return "/" if self.routes == 1 else f"/route-{route:05d}"

    def addresses(self) -> list[str]:
        """Loopback has sixteen million addresses, and the upstream listens on all of them."""
        return [f"127.0.{index // 250}.{index % 250 + 1}" for index in range(self.endpoints)]


@dataclass(frozen=True)
class Upstream:
    """One nginx worker with an 80-byte answer, on one port for HTTP/1.1 and one for HTTP/2 without TLS."""

    process: Process
    http1: int
    http2: int

    def port(self, setup: Setup) -> int:
        return self.http2 if setup.http2 else self.http1


@dataclass(frozen=True)
class Proxy:
    """A proxy ready for load: its process, and where the load goes."""

    process: Process
    target: Target


def start_upstream(children: Children) -> Upstream:
    http1, http2 = free_port(), free_port()
    server = 'location / { default_type text/plain; return 200 "%s"; }' % BODY.replace("\n", "\\n")
    process = _nginx(children, "upstream", LOAD_CORE, f"""
        server {{ listen {http1} backlog=4096; {server} }}
        server {{ listen {http2} http2 backlog=4096; {server} }}""")
    for port, is_http2 in ((http1, False), (http2, True)):
        target = Target(port, AUTHORITY, is_http2, routes=1)
        wait_for(process, lambda target=target: load.must_answer(target))
    return Upstream(process, http1, http2)


def start_nginx(children: Children, upstream: Upstream, setup: Setup) -> Proxy:
    port = free_port()
    servers = "".join(f"server {address}:{upstream.http1};" for address in setup.addresses())
    locations = "".join(
        f"""location {setup.prefix(route)} {{
                proxy_pass http://upstreams; proxy_http_version 1.1;
                proxy_set_header Connection ""; proxy_set_header Host $http_host; }}"""
        for route in range(setup.routes)
    )
    process = _nginx(children, "nginx", PROXY_CORE, f"""
        upstream upstreams {{ {servers} keepalive {2 * load.CONNECTIONS + setup.endpoints}; keepalive_requests {_FOREVER}; }}
        server {{ listen 127.0.0.1:{port} backlog=4096; {locations} }}""")
    return _ready(process, port, setup)


def start_haproxy(children: Children, upstream: Upstream, setup: Setup) -> Proxy:
    port, protocol = free_port(), "proto h2" if setup.http2 else ""
    servers = "\n".join(
        f"    server s{index} {address}:{upstream.port(setup)} {protocol}" for index, address in enumerate(setup.addresses())
    )
    config = children.directory("haproxy-config") / "haproxy.cfg"
    config.write_text(f"""
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    http-reuse always
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend f
    bind 127.0.0.1:{port} {protocol}
    default_backend b
backend b
    balance leastconn
{servers}
""")
    process = children.start("haproxy", [program("haproxy"), "-db", "-f", config], PROXY_CORE)
    return _ready(process, port, setup)


def start_envoy(children: Children, upstream: Upstream, setup: Setup, under: list | tuple = ()) -> Proxy:
    port = free_port()
    explicit = "http2_protocol_options" if setup.http2 else "http_protocol_options"
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "codec_type": "HTTP2" if setup.http2 else "HTTP1",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "bench", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"} if setup.routes == 1 else {"path_separated_prefix": setup.prefix(route)},
             "route": {"cluster": "upstream"}}
            for route in range(setup.routes)
        ]}]},
        "http_filters": [{"name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
    }
    cluster = {
        "name": "upstream", "type": "STATIC", "connect_timeout": "1s",
        "lb_policy": _ENVOY_BALANCING[setup.balancing or "LeastRequest"],
        "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": _address(address, upstream.port(setup))}} for address in setup.addresses()
        ]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {explicit: {}}}},
    }
    listener = {"name": "bench", "address": _address("127.0.0.1", port), "filter_chains": [
        {"filters": [{"name": "http", "typed_config": manager}]}]}
    config = children.directory("envoy-config") / "envoy.json"
    config.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    process = children.start(
        "envoy", [*under, PEERS / "envoy", "-c", config, "--concurrency", setup.threads, "--use-dynamic-base-id", "-l", "warning"],
        PROXY_CORE)
    return _ready(process, port, setup, seconds=300 if under else 30)


STARTERS = {"envoy": start_envoy, "haproxy": start_haproxy, "nginx": start_nginx}


def _address(address: str, port: int) -> dict:
    return {"socket_address": {"address": address, "port_value": port}}


def _ready(process: Process, port: int, setup: Setup, seconds: float = 30) -> Proxy:
    target = Target(port, AUTHORITY, setup.http2, setup.routes)
    wait_for(process, lambda: load.must_answer(target), seconds)
    return Proxy(process, target)


def _nginx(children: Children, name: str, core: int, http: str) -> Process:
    directory = children.directory(f"{name}-files")
    temporary = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = directory / "nginx.conf"
    config.write_text(f"""
daemon off; master_process off; worker_processes 1;
pid {directory}/pid; error_log stderr error;
events {{ worker_connections 16384; }}
http {{
    access_log off; tcp_nodelay on; {temporary}
    keepalive_requests {_FOREVER}; keepalive_timeout 1h; http2_max_concurrent_streams 1024;
    {http}
}}
""")
    return children.start(name, [program("nginx"), "-p", directory, "-c", config, "-e", "stderr"], core)
