"""The perplexities at which cc_net divides documents into head, middle and tail (Wenzek et al. 2020)."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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


def cut_offs() -> dict[str, tuple[float, float]]:
    """The two cut-offs of each language.

    >>> cut_offs()["en"]
    (340.0, 520.0)
    """
    rows = (row.split() for row in CUT_OFFS.split(",") if row.strip())
    return {language: (float(head), float(middle)) for language, head, middle in rows}


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
