"""Compiled kernels are kept in a private folder, never stale, and all compiled before workers start."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from curate.engine import plan_recipe
from curate.execute.warm import is_cold, warm
from curate.kernels import jit
from curate.recipe import Recipe


@pytest.fixture
def fresh():
    """cache_folder as in a new process."""
    return jit.cache_folder.__wrapped__


def test_folder_is_private(fresh, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = fresh()
    assert folder.parent == tmp_path / "cache" / "curate"
    for made in (folder, folder.parent):
        assert stat.S_IMODE(made.stat().st_mode) == 0o700 and made.stat().st_uid == os.getuid()


def test_home_that_cannot_be_written(fresh, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", os.devnull)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert fresh().parent == tmp_path / f"curate-{os.getuid()}"


def test_folders_that_others_can_write_or_redirect_are_not_used(fresh, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", os.devnull)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first = fresh()
    first.parent.chmod(0o777)
    second = fresh()
    assert second.parent == tmp_path / f"curate-{os.getuid()}"
    second.rename(tmp_path / "elsewhere")
    second.symlink_to(tmp_path / "elsewhere")
    assert fresh() is None


def test_folders_of_other_versions_go_when_they_are_no_longer_used(fresh, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    old, recent = (tmp_path / "curate" / f"kernels-{name}" for name in ("old", "recent"))
    for folder in (old, recent):
        folder.mkdir(parents=True)
        (folder / "code").touch()
    os.utime(old, (0, 0))
    assert fresh().exists()
    assert not old.exists() and recent.exists()


def test_any_changed_source_means_another_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(jit, "_SOURCES", tmp_path)
    (tmp_path / "caller.py").write_text("1")
    (tmp_path / "callee.py").write_text("2")
    before = jit._stamp()
    assert before == jit._stamp()
    (tmp_path / "callee.py").write_text("3")
    assert jit._stamp() != before


def _run(script, **environment):
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_second_process_compiles_nothing(tmp_path):
    module = tmp_path / "kernels_here.py"
    module.write_text("from curate.kernels.jit import kernel\n@kernel\ndef double(x):\n    return 2 * x\n")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from kernels_here import double; print(double(4), "
    script += "sum(double.stats.cache_hits.values()))"
    assert _run(script, XDG_CACHE_HOME=str(tmp_path / "cache")) == "8 0\n"
    assert _run(script, XDG_CACHE_HOME=str(tmp_path / "cache")) == "8 1\n"


def test_importing_the_kernels_is_light():
    heavy = _run("import sys, curate.kernels; print({'numba', 'numpy', 'pyarrow'} & {*sys.modules})")
    assert heavy == "set()\n"


def _compiled():
    """Entry kernels and the kinds of arguments each has been compiled for."""
    from numba.core.dispatcher import Dispatcher

    from curate.kernels import components, gopher, hashing, lexer, minhash, text

    modules = (components, gopher, hashing, lexer, minhash, text)
    found = {
        f"{module.__name__}.{name}": value.signatures
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Dispatcher) and not value.targetoptions.get("forceinline")
    }
    return {name: len(signatures) for name, signatures in found.items()}


def test_warm_leaves_nothing_to_compile():
    import numpy as np

    from curate.kernels import components, gopher, hashing, lexer, minhash

    shards = Path(__file__).resolve().parents[1] / "data/shards"
    steps = "steps: [gopher, dedup_exact, dedup_minhash]"
    plan = plan_recipe(Recipe.parse(f"name: x\nsources: {{x: {{path: {shards}}}}}\n{steps}\n"))
    warm(plan)
    assert not is_cold(plan)
    before = _compiled()
    assert len(before) >= 15 and [name for name, count in before.items() if count > 1] == []
    mutable = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, 3], np.int32)), pa.py_buffer(bytearray(b"a b")))
    for text in (pa.array(["é … \n\n x", None, "b"]), pa.array(["a", "b"])[1:], pa.array([], pa.string()), mutable):
        lexed = lexer.lex(text)
        lexer.count_words(text)
        gopher.gopher(lexed)
        hashing.normalised_hash(text)
        values = minhash.signatures(text, ngram=3, slots=20).values
        minhash.estimate(values[:, ::2], values[:, ::2])
        keys = minhash.band_keys(np.asarray(memoryview(values.tobytes())).view(np.uint32).reshape(values.shape), 2, 5)
        look = lambda items: (items.astype(np.uint64), items)  # noqa: E731
        for pairs in components.candidate_pairs(keys[0], np.arange(len(text)), look, 100, crowd=2):
            components.components(len(text), *components.unpack(pairs))
    assert _compiled() == before
