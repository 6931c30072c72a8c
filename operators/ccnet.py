"""What cc_net says of a document (Wenzek et al. 2020, arXiv 1911.00359), as RedPajama-V2 carries it along."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.family import Family
from curate.operator import Columns

# Perplexities by cc_net's models below which a text is in the head, and in the middle: the 30th and 60th percentiles of
# an old snapshot of Common Crawl, as cc_net published them.
CUT_OFFS = """
    af 540 770, ar 490 790, az 600 950, be 670 910, bg 450 680, bn 190 300, ca 210 330, cs 820 1140, da 380 600,
    de 370 590, el 450 670, en 340 520, es 180 290, et 1270 1620, fa 370 700, fi 1110 1500, fr 180 330, gu 1110 1570,
    he 1280 1710, hi 480 790, hr 720 910, hu 80 140, hy 750 1080, id 600 970, is 850 1190, it 220 360, ja 1110 1450,
    ka 910 1310, kk 610 930, km 1040 2180, kn 2210 2800, ko 920 2130, lt 190 270, lv 1130 1480, mk 530 740,
    ml 2430 3220, mn 680 1010, mr 1380 1870, my 2530 3040, ne 860 1130, nl 430 650, no 430 680, pl 160 260,
    pt 170 270, ro 180 270, ru 210 310, uk 140 220, zh 1460 1950,
"""
BUCKET = "ccnet_bucket"


def cut_offs() -> dict[str, tuple[float, float]]:
    """The two cut-offs of each language.

    >>> cut_offs()["en"]
    (340.0, 520.0)
    """
    rows = (row.split() for row in CUT_OFFS.split(",") if row.strip())
    return {language: (float(head), float(middle)) for language, head, middle in rows}


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


def bucket(language: pa.StringArray, perplexity: pa.DoubleArray) -> pa.Array:
    """0, 1 or 2 for each row, or null."""
    known = cut_offs()
    at = pc.index_in(language, pa.array([*known]))
    head, middle = (pa.array(column).take(at) for column in np.array([*known.values()]).T)
    beyond = [pc.greater_equal(perplexity, limit).cast(pa.int32()) for limit in (head, middle)]
    return pc.add(*beyond)


def bucket_names(language: pa.StringArray, perplexity: pa.DoubleArray) -> pa.Array:
    """head, middle or tail for each row, or null."""
    return pa.array(["head", "middle", "tail"]).take(bucket(language, perplexity))
