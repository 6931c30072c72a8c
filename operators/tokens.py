"""How many tokens a language model would see: by white space, or by a tokenizer's own file."""

import functools
import importlib.metadata
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from curate import assets
from curate.errors import PlanError
from curate.operator import Signal

WHITESPACE = "whitespace"


class Tokens(Signal, frozen=True):
    """How many tokens each document has; `as: gpt2` calls the column gpt2_tokens.

    tokenizer   `whitespace`: words as white space divides them. Or the path of a `tokenizer.json` of Hugging Face's
                tokenizers (the extra `curate[tokens]`); special tokens are not counted, and truncation is switched off

    tokens   tokens (0 and more)

    Raises PlanError when the file is no tokenizer, or the package is not installed.

    >>> Tokens()("to be, or not to be")
    {'tokens': 6}
    """

    tokenizer: str = WHITESPACE

    def writes(self) -> dict[str, pa.DataType]:
        return {"tokens": pa.int32()}

    def files(self) -> tuple[str, ...]:
        return () if self.tokenizer == WHITESPACE else assets.files(self.tokenizer)

    def identity(self) -> dict[str, Any]:
        if self.tokenizer == WHITESPACE:
            return super().identity()
        return {**super().identity(), "tokenizers": importlib.metadata.version("tokenizers")}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        if self.tokenizer != WHITESPACE:
            load(*self.files())

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        counts = self._words(text) if self.tokenizer == WHITESPACE else self._encoded(text)
        return {"tokens": pa.array(counts, pa.int32())}

    def _words(self, text: pa.StringArray) -> np.ndarray:
        from curate.kernels.lexer import lex

        return np.diff(lex(text).word_splits).astype(np.int32)

    def _encoded(self, text: pa.StringArray) -> list[int]:
        """The whole batch in one call: the tokenizer takes strings, and leaves the interpreter while it works."""
        found = load(*self.files()).encode_batch_fast(text.to_pylist(), add_special_tokens=False)
        return [len(encoding) for encoding in found]


@functools.lru_cache(maxsize=4)
def load(path: str) -> Any:
    """A tokenizer, loaded once per process."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a task has one core; others have the rest
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise PlanError("tokens: a tokenizer's file needs the package: pip install 'curate[tokens]'") from error
    try:
        tokenizer = Tokenizer.from_file(path)
    except Exception as error:  # the library raises plain Exception
        raise PlanError(f"tokens: {path} is no tokenizer.json of Hugging Face's tokenizers: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
