"""kill -9 at any moment, then the same command: the bytes of an uninterrupted run.

CURATE_KILLS=20 kills more often than the four times of a normal test run.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

KILLS = int(os.environ.get("CURATE_KILLS", "4"))
EVERY = max(1, 40 // KILLS)
# Those first in which most can go wrong; each is a moment to be killed at.
STAGES = (
    "writing files",
    "dedup_minhash: corpus-wide",
    "pass 1 of 3",
    "dedup_exact: corpus-wide",
    "pass 3 of 3",
    "pass 2 of 3",
)


class Victim:
    """A run of the probe recipe in a process group of its own, in batches so small that it lasts some seconds.

    With so little memory components are found in partitions, so that every kind of dedup task is there.
    """

    def __init__(self, lab: Any, workers: int):
        self.lab = lab
        self.arguments = ["run", "recipe.yaml", "--workers", str(workers), "--config", "small.yaml"]
        lab.write("recipe.yaml", lab.probe_with({"${shards}": lab.variables["shards"]}))
        lab.write("small.yaml", "batch_size: 2kB\nmemory: 1kB\n")

    def start(self) -> subprocess.Popen[str]:
        self.process: subprocess.Popen[str] = self.lab.start(*self.arguments)
        self.errors = ""
        return self.process

    def reached(self) -> list[str]:
        """The stages that have begun so far."""
        log = self.lab.folder / "out/log.jsonl"
        events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [event["stage"] for event in events if event["event"] == "begin"]

    def wait_for(self, condition: Callable[[], Any], seconds: float = 60) -> Any:
        end = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > end:
                state = (
                    [(process.pid, process.status()) for process in self.alive()],
                    self.process.poll(),
                    self.reached(),
                )
                self.kill_all()
                pytest.fail(f"it did not come to that: {state} {self.errors}")
            time.sleep(0.01)
        return found

    def workers(self) -> list[psutil.Process]:
        """Worker processes that are up: children of the driver, without loky's resource tracker."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
            return [child for child in children if "popen_loky" in " ".join(child.cmdline())]
        except psutil.Error:
            return []

    def alive(self) -> list[psutil.Process]:
        """Processes of the group that have not ended."""
        found = []
        for process in psutil.process_iter():
            try:
                if os.getpgid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, ProcessLookupError):
                continue
        return found

    def kill_all(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        _, self.errors = self.process.communicate()

    def finish(self) -> None:
        """The same command again, to the end."""
        done = self.lab.cli(*self.arguments)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def victim(lab: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Victim]:
    """Runs whose workers are started at once."""
    monkeypatch.setenv("CURATE_PATIENCE", "0")
    return lambda workers: Victim(lab, workers)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, probe: Any) -> tuple[dict[str, bytes], float]:
    """What an uninterrupted run of a process of its own leaves, and how long it takes with two workers."""
    lab = type(probe)(tmp_path_factory.mktemp("whole"))
    victim = Victim(lab, workers=2)
    began = time.monotonic()
    victim.finish()
    return lab.contents(), time.monotonic() - began


def test_a_process_of_its_own_gives_the_same_bytes(whole: tuple[dict[str, bytes], float], probe: Any) -> None:
    assert whole[0] == probe.contents()


@pytest.mark.parametrize("number", range(KILLS))
def test_killed_and_continued(
    victim: Callable[[int], Victim], whole: tuple[dict[str, bytes], float], number: int
) -> None:
    """Odd numbers die at a moment after the start, even ones at a moment after some stage has begun."""
    contents, seconds = whole
    chance = random.Random(number)
    run = victim(1 if number == 0 else 2)
    run.start()
    if number % 2:
        time.sleep(seconds * (0.3 + 0.7 * (number + chance.random()) / (KILLS + 1)))
    else:
        stage = STAGES[number // 2 % len(STAGES)]
        run.wait_for(lambda: stage in run.reached() or run.process.poll() is not None)
        time.sleep(chance.random() ** 3 * 0.3)
    run.kill_all()
    run.finish()
    assert run.lab.contents() == contents


class Cut(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run something until it has put so many files in their places; says how many it got to."""

    def cut(work: Callable[[], Any], after: int) -> int:
        count = 0

        def counted(original: Callable[..., Any]) -> Callable[..., Any]:
            def replace(*names: Any) -> None:
                nonlocal count
                if count == after:
                    raise Cut
                count += 1
                original(*names)

            return replace

        with monkeypatch.context() as patch, contextlib.suppress(Cut):
            for name in ("replace", "rename"):
                patch.setattr(os, name, counted(getattr(os, name)))
            work()
        return count

    return cut


def test_cut_off_between_any_two_files(lab: Any, probe: Any, cut: Callable[..., int]) -> None:
    """A recipe is changed and stopped after so many files; then it goes on, or the change is taken back."""
    lab.adopt(probe)
    last = cut(lambda: lab.run(words=60, memory="1kB"), after=1000)
    assert 20 < last < 300
    contents = {60: lab.contents(), 20: probe.contents()}
    for number, after in enumerate(
        [*range(0, last - 12, EVERY), *range(last - 12, last)]
    ):  # dedup tasks are half of them
        out, words = f"cut-{after}", (60, 20)[number % 2]
        shutil.copytree(probe.root(), lab.root(out))
        assert cut(lambda out=out: lab.run(words=60, out=out, memory="1kB"), after) == after
        lab.run(words=words, out=out)
        assert lab.contents(out) == contents[words], f"cut off after {after} of {last} files, then {words} words"


def test_ctrl_c_stops_cleanly_and_the_run_goes_on_later(
    victim: Callable[[int], Victim], whole: tuple[dict[str, bytes], float]
) -> None:
    run = victim(2)
    process = run.start()
    run.wait_for(lambda: len(run.workers()) == 2)
    run.wait_for(lambda: list((run.lab.folder / "out/.work").glob("index/.*.tmp")))
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "stopped; the same command continues where this one left off"
    assert "Traceback" not in errors
    run.wait_for(lambda: not run.alive(), 5)
    run.finish()
    assert run.lab.contents() == whole[0]


def test_ctrl_c_while_workers_start(victim: Callable[[int], Victim]) -> None:
    run = victim(2)
    process = run.start()
    run.wait_for(lambda: run.workers())
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in errors
    run.wait_for(lambda: not run.alive(), 5)


def test_ctrl_c_with_one_worker(victim: Callable[[int], Victim]) -> None:
    run = victim(1)
    process = run.start()
    run.wait_for(lambda: "pass 1 of 3" in run.reached())
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "stopped; the same command continues" in errors
    assert not list((run.lab.folder / "out/.work/values").rglob("*.tmp"))


def test_workers_end_when_their_driver_is_killed(
    victim: Callable[[int], Victim], whole: tuple[dict[str, bytes], float]
) -> None:
    run = victim(2)
    process = run.start()
    run.wait_for(lambda: len(run.workers()) == 2)
    run.wait_for(lambda: list((run.lab.folder / "out/.work").glob("index/[!.]*")))
    process.kill()
    process.wait()
    run.wait_for(lambda: not run.alive(), 10)
    process.communicate()
    run.finish()
    assert run.lab.contents() == whole[0]


def test_a_killed_worker_is_replaced(victim: Callable[[int], Victim], whole: tuple[dict[str, bytes], float]) -> None:
    run = victim(2)
    process = run.start()
    workers = run.wait_for(lambda: len(found := run.workers()) == 2 and found)
    run.wait_for(lambda: list((run.lab.folder / "out/.work").glob("index/.*.tmp")))
    workers[0].kill()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert run.lab.contents() == whole[0]


def test_two_runs_do_not_share_a_folder(victim: Callable[[int], Victim]) -> None:
    run = victim(1)
    run.start()
    run.wait_for(lambda: "pass 1 of 3" in run.reached())
    second = run.lab.cli(*run.arguments)
    assert second.returncode == 2
    assert f"(process {run.process.pid} on {socket.gethostname()}): wait for it" in second.stderr
    assert run.process.wait() == 0
    run.process.communicate()


def test_a_lock_that_a_dead_process_left_is_no_obstacle(continued: Any, probe: Any) -> None:
    (continued.root() / ".work/lock").write_text("process 1 on elsewhere\n")
    (continued.root() / "manifest.json").unlink()
    continued.run()
    assert continued.contents() == probe.contents()


def test_a_run_killed_before_it_did_anything_can_be_repeated(lab: Any, probe: Any) -> None:
    """A folder that was made and nothing more is no other recipe's."""
    (lab.folder / "out/.work").mkdir(parents=True)
    lab.run()
    assert lab.contents() == probe.contents()


def test_what_killed_tasks_left_is_not_taken_for_results(lab: Any, probe: Any, tmp_path: Path) -> None:
    """Torn files under temporary names, and a staging folder of an export that was cut short."""
    lab.run()
    work = lab.folder / "out/.work"
    (lab.folder / "out/manifest.json").unlink()
    for path in [*work.glob("values/*/[!.]*")][:3]:
        path.with_name(f".{path.name}.1.tmp").write_bytes(path.read_bytes()[:100])
    staged = work / "export" / json.loads((probe.folder / "out/manifest.json").read_text())["key"] / "data"
    staged.mkdir(parents=True)
    (staged / "part-00009-00000.parquet").write_bytes(b"torn")
    lab.run()
    assert lab.contents() == probe.contents()
