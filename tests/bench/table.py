"""What a run says: a page of Markdown tables, and whether weir is where it should be."""


def markdown(report: dict) -> str:
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    parts = [
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}; {versions}.",
        *(f"**{warning[0].upper()}{warning[1:]}.**" for warning in machine["warnings"]),
    ]
    for case in report["cases"]:
        parts += [f"### {case['title']}", *_SECTIONS[case["kind"]](case)]
    if report["targets"]:
        parts += ["### Targets", _table(
            ["target", "bound", "measured", ""],
            [[target["what"], f"≤ {target['bound']:g}{target['unit']}", f"{target['measured']:.2f}{target['unit']}",
              "met" if target["met"] else "**missed**"] for target in report["targets"]])]
    return "\n\n".join(parts) + "\n"


def targets(cases: list[dict]) -> list[dict]:
    """The bounds that can be judged from what was run."""
    by_name = {case["name"]: case for case in cases}
    found = []

    def judge(what: str, measured: float | None, bound: float, unit: str = "") -> None:
        if measured is not None:
            found.append({"what": what, "measured": measured, "bound": bound, "unit": unit, "met": measured <= bound})

    for case, title, envoy, haproxy in (("http1", "HTTP/1.1", 0.5, 1.3), ("http2", "HTTP/2", 0.35, 1.3)):
        judge(f"{title}, CPU per request, weir to Envoy", _cpu(by_name, case, "weir", "envoy"), envoy)
        judge(f"{title}, CPU per request, weir to haproxy", _cpu(by_name, case, "weir", "haproxy"), haproxy)
    if hot := by_name.get("hotnode"):
        closest = max((ratio["p99_ms"] for ratio in hot["ratios"]), default=None)
        judge("hot node, p99, weir's peak EWMA to the lowest of all others", closest, 1)
    counted = {row["name"]: row for row in by_name.get("instructions", {}).get("subjects", [])}
    for protocol, bound in (("HTTP/1.1", 10), ("HTTP/2", 19)):
        judge(f"{protocol}, allocations per request", counted.get(f"weir, {protocol}", {}).get("allocations"), bound)
    judge("10000 routes, CPU per request, to 10 routes", _cpu(by_name, "routes", "weir, 10000 routes", "weir, 10 routes"), 1.15)
    idle = [row["idle_mb"] for row in by_name.get("memory", {}).get("subjects", []) if row["name"] == "weir"]
    judge("sidecar, resident memory, idle", next(iter(idle), None), 12, " MB")
    if fleet := by_name.get("fleet"):
        judge("policy change acknowledged by all, p99", fleet["propagation_ms"]["p99"], 1000, " ms")
        judge("control plane, resident memory", fleet["loaded_mb"], 300, " MB")
    return found


def _cpu(by_name: dict, case: str, of: str, to: str) -> float | None:
    ratios = by_name.get(case, {}).get("ratios", [])
    return next((ratio["cpu_us"] for ratio in ratios if (ratio["of"], ratio["to"]) == (of, to)), None)


def _proxies(case: dict) -> list[str]:
    rate = case["rate"]
    parts = [f"Medians of {case['turns']} rounds of {case['seconds']:g} s."]
    header = ["proxy", "CPU µs/request", "requests/s", "core busy", f"p50 ms at {rate}/s", "p99 ms", "p99.9 ms", "idle MB", "loaded MB"]
    rows = [
        [row["name"], f"{row['cpu_us']:.1f}", f"{row['throughput']:.0f}", f"{row['busy']:.0%}", f"{row['p50_ms']:.2f}",
         f"{row['p99_ms']:.2f}", f"{row['p999_ms']:.2f}", f"{row['idle_mb']:.1f}", f"{row['loaded_mb']:.1f}"]
        for row in case["subjects"]
    ]
    parts.append(_table(header, rows))
    late = [f"{row['name']} ({row['held']:.0%})" for row in case["subjects"] if row["held"] < 0.97]
    if late:
        parts.append(f"The rate was not held, so the latencies mean little: {', '.join(late)}.")
    if case["ratios"]:
        parts.append(_table(
            ["ratio", "CPU", "throughput", "p50", "p99", "p99.9", "loaded memory"],
            [[f"{ratio['of']} / {ratio['to']}", *(f"{ratio[metric]:.2f}" for metric in
              ("cpu_us", "throughput", "p50_ms", "p99_ms", "p999_ms", "loaded_mb"))] for ratio in case["ratios"]]))
    return parts


def _memory(case: dict) -> list[str]:
    return [_table(["proxy", "resident MB"], [[row["name"], f"{row['idle_mb']:.1f}"] for row in case["subjects"]])]


def _fleet(case: dict) -> list[str]:
    propagation = case["propagation_ms"]
    return [_table(
        ["sidecars", "acknowledged by all, p50 ms", "p99 ms", "max ms", "control plane idle MB", "loaded MB"],
        [[str(case["sidecars"]), *(f"{propagation[key]:.1f}" for key in ("p50", "p99", "max")),
          f"{case['idle_mb']:.1f}", f"{case['loaded_mb']:.1f}"]])]


def _hotnode(case: dict) -> list[str]:
    rows = [[row["name"], *(f"{row[key]:.1f}" for key in ("p50_ms", "p99_ms", "p999_ms")),
             f"{row['slow_share']:.2%}", f"{row['failed_share']:.2%}"] for row in case["subjects"]]
    parts = [f"Medians of {len(case['subjects'][0]['rounds'])} rounds of {case['seconds']:g} s; shares of all requests.",
             _table(["proxy and policy", "p50 ms", "p99 ms", "p99.9 ms", "to the slow one", "failed"], rows)]
    late = [f"{row['name']} ({row['late_ms']:.1f} ms)" for row in case["subjects"] if row["late_ms"] > 2]
    if late:
        parts.append(f"The load was late, which counts against the proxy: p99 of {', '.join(late)}.")
    if case["ratios"]:
        parts.append(_table(["ratio", "p50", "p99", "p99.9"], [
            [f"{ratio['of']} / {ratio['to']}", *(f"{ratio[key]:.2f}" for key in ("p50_ms", "p99_ms", "p999_ms"))]
            for ratio in case["ratios"]]))
    return parts


def _instructions(case: dict) -> list[str]:
    parts = [_table(
        ["proxy", "instructions/request", "allocations/request"],
        [[row["name"], f"{row['instructions']:.0f}", "–" if row["allocations"] is None else f"{row['allocations']:.1f}"]
         for row in case["subjects"]])]
    counted = {row["name"]: row["instructions"] for row in case["subjects"]}
    ratios = [[f"weir / envoy, {protocol}", f"{counted[f'weir, {protocol}'] / counted[f'envoy, {protocol}']:.2f}"]
              for protocol in ("HTTP/1.1", "HTTP/2") if {f"weir, {protocol}", f"envoy, {protocol}"} <= counted.keys()]
    return parts + ([_table(["ratio", "instructions"], ratios)] if ratios else [])


_SECTIONS = {"proxies": _proxies, "memory": _memory, "fleet": _fleet, "hotnode": _hotnode, "instructions": _instructions}


def _table(header: list[str], rows: list[list[str]]) -> str:
    align = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, align, *rows))
