"""Derivations of the last batches are kept, and no others: a batch that is done with must not stay in memory."""

import gc
import weakref

import numpy as np
import pyarrow as pa

from curate.kernels.lexer import lex_buffers
from curate.kernels.sharing import BATCHES, KEPT, shared
from curate.kernels.text import buffers


def test_derivations_of_old_batches_are_let_go() -> None:
    seen = []
    for at in range(BATCHES + 2):
        lexed = lex_buffers(*buffers(pa.array([f"text {at}"])))
        made = shared(lexed, "numbers", lambda: np.zeros(3))
        assert shared(lexed, "numbers", lambda: np.zeros(3)) is made
        seen.append(weakref.ref(made))
    del made
    gc.collect()
    assert [one() is not None for one in seen] == [False] * 2 + [True] * BATCHES


def test_many_derivations_of_a_batch_are_kept() -> None:
    lexed = lex_buffers(*buffers(pa.array(["text"])))
    made = [shared(lexed, str(at), object) for at in range(KEPT)]
    assert [shared(lexed, str(at), object) for at in range(KEPT)] == made
