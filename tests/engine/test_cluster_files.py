"""The files for clusters are what Ray, KubeRay and bash take; and a job runs as they say."""

from __future__ import annotations

import json
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from tests.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "configs/cluster"
EARLY = ("No available agent", "Failed to connect")  # the dashboard comes up after the head


def load(name: str) -> Any:
    return yaml.safe_load((FILES / name).read_text())


def test_the_cluster_file_is_one_of_ray() -> None:
    import ray

    schema = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text())
    cluster = load("aws.yaml")
    jsonschema.validate(cluster, schema)
    assert cluster["head_node_type"] in cluster["available_node_types"]
    assert version("ray") in cluster["docker"]["image"]


def test_the_job_of_kuberay() -> None:
    job = load("rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == version("ray")
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    images = {container["image"] for pod in pods for container in pod["template"]["spec"]["containers"]}
    assert len(images) == 1  # one version on every node
    from click.testing import CliRunner

    from curate.cli import main

    command, *arguments = job["spec"]["entrypoint"].split()
    assert command == "curate"
    found = CliRunner().invoke(main, arguments)
    assert "/recipe/recipe.yaml" in found.output and "option" not in found.output  # only the recipe is missing here


def test_the_script_parses() -> None:
    assert subprocess.run(["bash", "-n", str(FILES / "submit.sh")], check=False).returncode == 0


@pytest.mark.slow
def test_a_submitted_job_shows_progress_and_funnel(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp_cors", reason="jobs need ray[default]")
    (tmp_path / "job").mkdir()
    (tmp_path / "job/recipe.yaml").write_text(
        f"name: job\nsources: {{all: {{path: {ROOT}/tests/data/shards}}}}\nsteps:\n  - gopher\n"
        "  - keep: {rules: {words: {column: gopher_word_count, min: 20}}}\n"
    )
    with Cluster(1, dashboard=True) as cluster:
        arguments = [f"http://127.0.0.1:{cluster.dashboard}", str(tmp_path / "job/recipe.yaml"), str(tmp_path / "out")]
        end = time.monotonic() + 120
        while True:
            done = subprocess.run(
                [str(FILES / "submit.sh"), *arguments],
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            if not any(early in done.stderr for early in EARLY) or time.monotonic() > end:
                break
            time.sleep(1)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "succeeded" in told
    assert "pass 1 of 1" in told
    assert "words" in told and "kept" in told
    assert (tmp_path / "out/manifest.json").exists()
