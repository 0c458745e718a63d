"""Child processes: started on a given core, measured through /proc, stopped by their id whatever happens."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """A process did not do what it should; the text says which and holds the end of its log."""


class Process:
    """One running program and its children."""

    def __init__(self, name: str, popen: subprocess.Popen, log: Path):
        self.name, self.log, self._popen = name, log, popen

    @property
    def pid(self) -> int:
        return self._popen.pid

    def cpu_seconds(self) -> float:
        """User and system time of the process, its children, and the children it has already reaped."""
        ticks = 0
        for pid in self._tree():
            fields = _stat(pid)
            ticks += sum(int(field) for field in fields[11:15])
        return ticks / _TICK

    def resident_mb(self) -> float:
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self._tree())
        return pages * _PAGE / 1e6

    def must_live(self) -> None:
        if self._popen.poll() is not None:
            raise self.failure(f"ended with status {self._popen.returncode}")

    def failure(self, what: str) -> Failure:
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
        return Failure(f"{self.name} {what}; the end of its log:\n{tail}")

    def stop(self) -> None:
        if self._popen.poll() is not None:
            return
        self._popen.send_signal(signal.SIGTERM)
        try:
            self._popen.wait(3)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def _tree(self) -> list[int]:
        pids = [self.pid]
        for pid in pids:
            try:
                pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            except FileNotFoundError:
                pass
        return pids


class Children:
    """Everything this run has started, in a directory of its own; leaving the `with` stops all of it."""

    def __init__(self, directory: Path):
        self._root, self._processes, self._count = directory, [], 0

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *_) -> None:
        self.stop_all()

    def stop_all(self) -> None:
        for process in reversed(self._processes):
            process.stop()
        self._processes.clear()

    def directory(self, name: str) -> Path:
        self._count += 1
        path = self._root / f"{self._count}-{name}"
        path.mkdir()
        return path

    def start(self, name: str, command: list, core: int, environment: dict | None = None) -> Process:
        log = self.directory(name) / "log"

        def prepare() -> None:
            os.sched_setaffinity(0, {core})
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # even a killed run leaves nothing behind

        with log.open("wb") as output:
            popen = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                preexec_fn=prepare, env={**os.environ, **(environment or {})},
            )
        process = Process(name, popen, log)
        self._processes.append(process)
        return process


def free_port() -> int:
    """A port nobody listens on now. Two calls never give the same one."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


_given: set[int] = set()


def wait_for(process: Process, check, seconds: float = 30.0) -> None:
    """Calls `check` until it no longer fails; gives up when the process ends or the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return check()
        except Failure as failure:
            process.must_live()
            if time.monotonic() > deadline:
                raise process.failure(f"is not ready after {seconds:.0f} s: {failure}") from None
        time.sleep(0.05)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command name, which may itself hold spaces; [0] is the state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
