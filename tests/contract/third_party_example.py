"""Operators of another project and the whole of what it takes to check them; test_third_party.py runs this file."""

from typing import Annotated, Any, ClassVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from curate import Filter, Operator, Signal
from curate.testing import Check, example, parametrize


class Shouting(Signal, frozen=True):
    """How loud a text is.

    shouting_ratio   characters that shout per byte of text, 0..1; 0 for empty text

    >>> Shouting()("Hey!")
    {'shouting_ratio': 0.25}
    """

    marks: str = "!"

    def writes(self) -> dict[str, pa.DataType]:
        return {"shouting_ratio": pa.float32()}

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        size = pc.max_element_wise(pc.binary_length(text), 1).cast(pa.float32())
        loud = pc.count_substring_regex(text, f"[{self.marks}]").cast(pa.float32())
        return {"shouting_ratio": pc.divide(loud, size)}


class Blocklist(Filter, frozen=True):
    """Drops documents that hold one of these words, with the reason `blocklist`.

    words   the words

    >>> Blocklist(words=["spam"])({"text": "ham and spam"})
    {'dropped_by': 'blocklist'}
    """

    example: ClassVar[dict[str, Any]] = {"words": ["ships", "Regen"]}

    words: Annotated[list[str], msgspec.Meta(min_length=1)]

    def reasons(self) -> tuple[str, ...]:
        return ("blocklist",)

    def decide(self, text: pa.StringArray) -> dict[str, pa.Array]:
        found = [pc.match_substring(text, word) for word in self.words]
        return {"blocklist": pc.greater(sum((hit.cast(pa.int8()) for hit in found[1:]), found[0].cast(pa.int8())), 0)}


@parametrize(
    Shouting(), example(Blocklist), known_gaps={"shouting-parameters_documented": "`marks` is described in our manual"}
)
def test_contract(operator: Operator, check: Check) -> None:
    check(operator)
