"""A Ray cluster of processes on this machine, as `ray start` makes one: a head and nodes, of one CPU each."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STORE = 80_000_000  # bytes of an object store: the least that Ray takes
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "1",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "5000",  # a busy machine answers late: only one that is gone counts as lost
    "RAY_health_check_failure_threshold": "4",
    "RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "120",  # for the process that Ray starts for a client
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_AUTH_MODE": "token",  # a token of this cluster's own, which no one else on the network has
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),  # jobs call `curate`
    "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
}
os.environ.update(ENVIRONMENT)  # Ray looks when it is imported


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ends_with_parent() -> None:
    """A node stops when the tests are killed: it is sent SIGTERM, and `ray start --block` stops all it started."""
    with contextlib.suppress(OSError):  # Linux alone has this
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


@contextmanager
def joined(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster that this process has joined."""
    import ray

    with cluster:
        ray.init(cluster.address, log_to_driver=False, configure_logging=False, namespace="curate")
        try:
            yield cluster
        finally:
            ray.shutdown()


class Cluster:
    """Started with the block, and stopped with it: all its processes and its folder are gone then."""

    def __init__(self, nodes: int = 2, dashboard: bool = False, environment: dict[str, str] | None = None):
        self.count, self.has_dashboard = nodes, dashboard
        self.environment = {**os.environ, **(environment or {})}
        self.folder = Path(tempfile.mkdtemp(prefix="cur"))  # sockets below it must have short names
        self.port, self.dashboard, self.client = free_port(), free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.nodes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Cluster:
        head = ["--head", f"--port={self.port}", f"--temp-dir={self.folder}", "--ray-client-server-port"]
        shown = [f"--include-dashboard={self.has_dashboard}", f"--dashboard-port={self.dashboard}"]
        self._start(*head, str(self.client), *shown)
        for _ in range(self.count - 1):
            self.add_node()
        return self

    def __exit__(self, *_: object) -> None:
        for node in reversed(self.nodes):
            self.kill(node)
        shutil.rmtree(self.folder, ignore_errors=True)

    def add_node(self, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        return self._start(f"--address={self.address}", environment=environment)

    def kill(self, node: subprocess.Popen[bytes]) -> None:
        """End a node as a power cut does: all of its processes at once."""
        for process in self.processes(node):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        node.wait()

    def _start(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *arguments, "--num-cpus=1", "--block"]
        command += ["--node-ip-address=127.0.0.1", f"--object-store-memory={STORE}", "--disable-usage-stats"]
        command.append(f"--dashboard-agent-listen-port={free_port()}")  # its own: other clusters have the default one
        log = (self.folder / f"node-{len(self.nodes)}.log").open("wb")
        with log:
            node = subprocess.Popen(
                command,
                env={**self.environment, **(environment or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_ends_with_parent,
            )
        self.nodes.append(node)
        self._wait(node, Path(log.name))
        return node

    def _wait(self, node: subprocess.Popen[bytes], log: Path, seconds: float = 180) -> None:
        """Until the node says that it runs."""
        end = time.monotonic() + seconds
        while "Ray runtime started" not in (text := log.read_text(errors="replace")):
            if node.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise RuntimeError(f"ray start does not work here:\n{text}")
            time.sleep(0.05)

    def processes(self, node: subprocess.Popen[bytes], named: str = "") -> list[Any]:
        """Those of a node whose name begins so, e.g. `ray::` and a task's name for a worker that is at it."""
        import psutil  # type: ignore[import-untyped]

        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getsid(process.pid) == node.pid and " ".join(process.cmdline()).startswith(named):
                    found.append(process)
        return found
