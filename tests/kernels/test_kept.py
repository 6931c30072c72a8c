"""Arrays that are kept for later processes: what was made, mapped, never damaged, never half written."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from py3langid.langid import MODEL_DIR, MODEL_FILE

from curate.kernels import kept as module
from curate.kernels import langid_model, langid_text
from curate.kernels.kept import kept

ARRAYS = [np.arange(100_000, dtype=np.int16).reshape(-1, 100), np.array(["de", "nl"]), np.array(0.5), np.zeros(0)]


class Maker:
    """Makes the arrays, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Sequence[np.ndarray]:
        self.calls += 1
        return [ARRAYS[0].copy(order="F"), *ARRAYS[1:]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path)
    return tmp_path


def check(found: Sequence[np.ndarray]) -> None:
    assert len(found) == len(ARRAYS)
    for array, expected in zip(found, ARRAYS, strict=True):
        assert array.dtype == expected.dtype and array.shape == expected.shape and (array == expected).all()
        assert not array.flags.writeable and array.flags.c_contiguous and array.flags.aligned


def test_made_once_and_the_same_thereafter(folder: Path) -> None:
    make = Maker()
    for _ in range(3):
        check(kept("some", make))
    assert make.calls == 1
    check(kept("others", make))
    assert make.calls == 2
    assert sorted(path.name for path in folder.iterdir()) == ["others.arrays", "some.arrays"]
    assert stat.S_IMODE((folder / "some.arrays").stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", ["empty", "short", "longer", "flipped", "text"])
def test_what_is_damaged_is_made_again(folder: Path, damage: str) -> None:
    make = Maker()
    first = kept("some", make)
    path = folder / "some.arrays"
    good = path.read_bytes()
    middle = len(good) // 2
    path.unlink()  # not written over: it is mapped
    path.write_bytes(
        {
            "empty": b"",
            "short": good[:middle],
            "longer": good + bytes(64),
            "flipped": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
            "text": b"no arrays",
        }[damage]
    )
    check(kept("some", make))
    assert make.calls == 2 and path.read_bytes() == good
    check(first)


def test_without_a_folder_or_room_arrays_are_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Maker()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no space left on device")))
    check(kept("some", make))
    assert [*folder.iterdir()] == []
    monkeypatch.setattr(module, "cache_folder", lambda: None)
    check(kept("some", make))
    assert make.calls == 2


def test_what_cannot_be_made_is_told_and_not_kept(folder: Path) -> None:
    def refuse() -> Sequence[np.ndarray]:
        raise ValueError("not a model")

    with pytest.raises(ValueError, match="not a model"):
        kept("some", refuse)
    assert [*folder.iterdir()] == []


def test_the_language_model_is_unpacked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    path = MODEL_DIR / MODEL_FILE
    first, traits = langid_model.load(path), langid_text._traits.__wrapped__()
    monkeypatch.setattr(langid_model, "read", None)
    monkeypatch.setattr(langid_text, "_make_traits", None)
    again = langid_model.load(path)
    assert (again.languages, again.unit) == (first.languages, first.unit)
    assert again.automaton[4:] == first.automaton[4:]
    pairs = zip((*again[1:4], *again.automaton[:4]), (*first[1:4], *first.automaton[:4]), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)
    assert np.array_equal(langid_text._traits.__wrapped__(), traits)
