"""What cc_net says of a document (Wenzek et al. 2020, arXiv 1911.00359), as RedPajama-V2 carries it along."""

from collections.abc import Mapping
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from curate.cut_offs import bucket
from curate.family import Family
from curate.operator import Columns

BUCKET = "ccnet_bucket"


class CcnetMetadata(Family, frozen=True):
    """cc_net's length, lines and bucket. Other columns of cc_net (original_length, language_score) only its run knows.

    signals   names of the columns to write (default: all); `ccnet_bucket` reads the columns `language` and `perplexity`

    ccnet_length   code points of the text
    ccnet_nlines   its line feeds, and one
    ccnet_bucket   0 head, 1 middle, 2 tail (0..2), by the perplexity of cc_net's model of the language; null for a
                   language without one, or without a perplexity

    >>> CcnetMetadata()({"text": "Deux\\nlignes", "language": "fr", "perplexity": 200.0})
    {'ccnet_length': 11, 'ccnet_nlines': 2, 'ccnet_bucket': 1}
    """

    columns: ClassVar[Mapping[str, pa.DataType]] = dict.fromkeys(("ccnet_length", "ccnet_nlines", BUCKET), pa.int32())
    sees_nulls: ClassVar[bool] = True  # length and lines are there without a language

    def reads(self) -> dict[str, pa.DataType | None]:
        of_bucket = {"language": pa.string(), "perplexity": pa.float64()} if self.wants(BUCKET) else {}
        return {"text": pa.string(), **of_bucket}

    def compute(
        self, text: pa.StringArray, language: pa.StringArray | None = None, perplexity: pa.DoubleArray | None = None
    ) -> Columns:
        made = {
            "ccnet_length": pc.utf8_length(text),
            "ccnet_nlines": pc.add(pc.count_substring(text, "\n"), pa.scalar(1, pa.int32())),
        }
        if language is not None and perplexity is not None:
            made[BUCKET] = pc.if_else(text.is_valid(), bucket(language, perplexity), pa.scalar(None, pa.int32()))
        return self.chosen(made)
