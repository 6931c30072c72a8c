"""What can go wrong on a cluster: after each fault the run ends with the bytes of a run that nothing happened to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from curate.errors import OperatorError, PlanError
from tests.cluster import Cluster, joined

# Ten minutes of clusters that are started and broken: CURATE_FAULTS=1 runs them.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("CURATE_FAULTS"), reason="faults of clusters run with CURATE_FAULTS=1"),
]

OPERATORS = """
import os, signal, time
from pathlib import Path
import numpy as np, pyarrow as pa
from curate.operator import Signal

class Slow(Signal, frozen=True):
    seconds: float = 0.1
    def writes(self): return {"slow": pa.int32()}
    def compute(self, text: pa.StringArray):
        time.sleep(self.seconds)
        return {"slow": pa.array(np.ones(len(text), np.int32))}

class Greedy(Signal, frozen=True):
    most: int
    how: str = "MemoryError"
    def writes(self): return {"greedy": pa.int32()}
    def compute(self, text: pa.StringArray):
        if text.nbytes > self.most:
            np.empty(1 << 45) if self.how == "MemoryError" else os.kill(os.getpid(), signal.SIGKILL)
        return {"greedy": pa.array(np.ones(len(text), np.int32))}

class Stuck(Signal, frozen=True):
    note: str
    def writes(self): return {"stuck": pa.int32()}
    def compute(self, text: pa.StringArray):
        if not self.note or not Path(self.note).exists():
            Path(self.note or os.devnull).touch()
            time.sleep(1000)
        return {"stuck": pa.array(np.ones(len(text), np.int32))}
"""


@pytest.fixture(scope="module")
def machines(probe: Any) -> Iterator[Cluster]:
    """Started after a local run has compiled the kernels, which may take minutes: faults come while there is work."""
    with joined(Cluster()) as machines:
        yield machines


def recipe_of(lab: Any, step: str) -> str:
    lab.write("ops.py", OPERATORS)
    return str(
        lab.probe_with({"name: probe\n": "name: probe\nuses: [ops.py]\n", "  - gopher\n": f"  - {step}\n  - gopher\n"})
    )


def is_as_alone(lab: Any, step: str) -> bool:
    """Whether the run has the bytes of a local one, in the same place."""
    contents = lab.contents()
    shutil.rmtree(lab.root())
    lab.run(recipe_of(lab, step), executor="local")
    return bool(lab.contents() == contents)


class Run:
    """`curate run --executor ray` in a process of its own."""

    def __init__(self, lab: Any, machines: Cluster, address: str = ""):
        self.lab = lab
        lab.write("recipe.yaml", recipe_of(lab, "slow").replace("${shards}", lab.variables["shards"]))
        lab.write("config.yaml", f"executor: ray\naddress: {address or machines.address}\nbatch_size: 10kB\n")
        self.process = self.start()

    def start(self) -> Any:
        self.process = self.lab.start("run", "recipe.yaml", "--config", "config.yaml")
        return self.process

    def events(self) -> list[dict[str, Any]]:
        log = self.lab.folder / "out/log.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def finished_shards(self) -> int:
        return sum(event["event"] == "shard" for event in self.events())

    def wait_for(self, condition: Callable[[], Any], seconds: float = 300) -> Any:
        end = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > end or self.process.poll() is not None:
                os.killpg(self.process.pid, signal.SIGKILL)
                pytest.fail(f"it did not come to that: {self.process.communicate(timeout=20)}")
            time.sleep(0.02)
        return found

    def ends_as_alone(self) -> None:
        """It ends well, with the bytes of a local run of the same command."""
        _, errors = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, errors
        contents = self.lab.contents()
        shutil.rmtree(self.lab.root())
        done = self.lab.cli("run", "recipe.yaml", "--executor", "local", "--workers", "1")
        assert done.returncode == 0, done.stderr
        assert self.lab.contents() == contents


def test_a_worker_is_killed(lab: Any, machines: Cluster) -> None:
    run = Run(lab, machines)
    at_work = lambda: [w for node in machines.nodes for w in machines.processes(node, "ray::pass 1 of 3")]  # noqa: E731
    run.wait_for(at_work)[0].kill()
    run.wait_for(lambda: run.finished_shards() > 2)
    for worker in at_work():
        worker.kill()
    run.ends_as_alone()


def test_a_node_is_lost(lab: Any, machines: Cluster) -> None:
    run = Run(lab, machines)
    node = machines.nodes[-1]
    run.wait_for(lambda: run.finished_shards() > 1 and machines.processes(node, "ray::pass"))
    machines.kill(node)
    run.ends_as_alone()
    machines.nodes.remove(node)
    machines.add_node()


def test_the_driver_is_killed(lab: Any, machines: Cluster) -> None:
    run = Run(lab, machines)
    run.wait_for(lambda: run.finished_shards() > 2)
    run.process.kill()
    run.process.communicate()
    run.start()
    run.wait_for(lambda: any(event.get("reused") for event in run.events()))
    run.ends_as_alone()


def test_the_object_store_is_full(lab: Any, machines: Cluster) -> None:
    """By what others put there: it spills to disk, and tasks exchange no objects."""
    import numpy as np
    import ray

    others = [ray.put(np.ones(30_000_000, np.uint8)) for _ in range(4)]
    lab.run(recipe_of(lab, "slow: {seconds: 0}"), executor="ray")
    assert len(ray.get(others[0])) == 30_000_000
    assert is_as_alone(lab, "slow: {seconds: 0}")


@pytest.mark.parametrize("how", ["MemoryError", "killed"])
def test_a_task_that_runs_out_of_memory_has_smaller_batches(lab: Any, machines: Cluster, how: str) -> None:
    lab.run(recipe_of(lab, f"greedy: {{most: 70000, how: {how}}}"), executor="ray", batch_size="1MB")
    contents = lab.contents()
    shutil.rmtree(lab.root())
    lab.run(recipe_of(lab, f"greedy: {{most: 70000, how: {how}}}"), executor="local", batch_size="30kB")
    assert lab.contents() == contents


@pytest.mark.parametrize(("how", "said"), [("MemoryError", "ran out of memory"), ("killed", "died")])
def test_and_in_the_end_its_shard_is_named(lab: Any, machines: Cluster, how: str, said: str) -> None:
    with pytest.raises(OperatorError, match=rf"a worker {said} 3 times on \S+\.(jsonl|parquet)\S*.*smaller batch_size"):
        lab.run(recipe_of(lab, f"greedy: {{most: 10, how: {how}}}"), executor="ray")


def test_a_stuck_task_is_ended_and_tried_again(lab: Any, machines: Cluster) -> None:
    note = lab.folder / "was-here"
    lab.run(recipe_of(lab, f"stuck: {{note: {note}}}"), executor="ray", task_timeout=12, batch_size="100kB")
    assert note.exists()
    assert lab.result().manifest["records"] == 379
    assert not list((lab.folder / "out/.work/stuck").glob("*"))


def test_or_named_when_it_is_stuck_again(lab: Any, machines: Cluster) -> None:
    with pytest.raises(OperatorError, match=r"a task was stuck 1 times on \S+ \(at .*ops\.py.*larger task_timeout"):
        lab.run(recipe_of(lab, "stuck: {note: ''}"), executor="ray", task_timeout=6, retries=0)


def test_a_run_through_a_client(lab: Any, machines: Cluster) -> None:
    """`ray://`: the driver is outside the cluster."""
    Run(lab, machines, f"ray://127.0.0.1:{machines.client}").ends_as_alone()


def test_metrics_are_exported(lab: Any, machines: Cluster) -> None:
    """Where Prometheus looks for them: at every node's port."""
    import ray

    lab.run(executor="ray")
    ports = [
        f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}" for node in ray.nodes() if node["Alive"]
    ]
    wanted = {f"ray_curate_{name}_total{{" for name in ("documents", "bytes", "fates")}
    wanted |= {'fate="kept"', 'fate="dedup_minhash"', 'stage="pass 1"', 'stage="export"', 'recipe="probe"'}
    end = time.monotonic() + 60
    while any(name not in (found := "".join(map(_metrics, ports))) for name in wanted):
        assert time.monotonic() < end, sorted(line for line in found.splitlines() if "curate" in line)
        time.sleep(1)


def _metrics(url: str) -> str:
    from urllib.request import urlopen

    with urlopen(f"{url}/metrics", timeout=10) as page:
        return str(page.read().decode())


def test_a_node_of_another_version_is_refused(lab: Any, machines: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    from curate.execute import node

    mine = dict(node.identity().versions) | {"pyarrow": "9.0"}
    monkeypatch.setattr("curate.execute.ray.identity", lambda: node.Identity(tuple(mine.items())))
    with pytest.raises(PlanError, match=r"Ray node \S+ has pyarrow \S+, the driver has 9\.0: .* one image"):
        lab.run(executor="ray")


def test_a_node_that_joins_with_another_package_is_refused(lab: Any, machines: Cluster) -> None:
    """One of three at the same address, whose environment has a package of another version."""
    lab.write("other/zstandard-9.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: zstandard\nVersion: 9.0\n")
    node = machines.add_node({"PYTHONPATH": str(lab.folder / "other")})
    try:
        with pytest.raises(PlanError, match=r"Ray node \S+ has zstandard 9\.0, the driver has 0\.\S+: .*not mix"):
            lab.run(executor="ray")
    finally:
        machines.kill(node)
        machines.nodes.remove(node)
    assert not (lab.folder / "out/data").exists()


ODD = """
import pyarrow as pa
from curate.operator import Signal

class Odd(Signal, frozen=True):
    def writes(self): return {'odd': pa.int32()}
    def compute(self, text: pa.StringArray): return {'odd': pa.array([1] * len(text), pa.int32())}
"""


def test_a_node_that_lacks_what_a_step_needs(lab: Any, machines: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("only_here")
    monkeypatch.setitem(sys.modules, "only_here", module)
    exec(ODD, module.__dict__)
    from curate import Config, read

    with pytest.raises(PlanError, match=r"Ray node \S+ lacks what a step of the recipe needs .*only_here.*runtime_env"):
        (read(lab.variables["shards"]) | module.Odd()).run(str(lab.folder / "out"), Config(executor="ray"))
