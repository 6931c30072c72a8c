"""What published rules ask of a code point beyond `curate.kernels.unicode`: digits, marks, other systems' sets.

Digits and marks are those of Unicode 15.0, pinned in `traits-15.0.npz`; `build` made it (run this file with Python
3.12).
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import u64
from curate.kernels.jit import inner
from curate.kernels.text import read_only
from curate.kernels.unicode import ALPHA, VERSION, WORD, tables

FILE = Path(__file__).parent / f"traits-{VERSION}.npz"

# The thirteen classes of unicode.py, and these:
ALNUM, DIGIT, DECIMAL, MARK, TERMINAL, SPECIAL, SYMBOL, SINGLE, NONSPACING = (1 << k for k in range(13, 22))

# Ends of sentences in all scripts: the set datatrove takes for FineWeb, mostly Unicode's Sentence_Terminal.
TERMINALS = """21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736
17D4-17D6 17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E 1C3B-1C3C 1C7E-1C7F 203C-203D 2047-2049
2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE52
FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143 111C5-111C6 111CD
111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 1173C-1173E 11944 11946
11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 16B37-16B38 16B44 16E98 1BC9F 1DA88"""

# Data-Juicer's special characters: ASCII punctuation, digits and white space, a list of its own, and single emoji.
SPECIALS = """9-D 20-40 5B-60 7B-7E 81-85 91-93 95-99 9C-9D A1-AB AD-B4 B7-BF D7 F7-F8 131 26A 2BA-2BC 2C8 2CC 2D0 2D8
2DA 2DC 3C0 413 60C 647 66A 66C 6E9 93E 940 947 94D 97D 9BE E51 2002-2003 2005 2008-200B 2010-2011 2013-2016 2018-201A
201C-2020 2022 2024 2026 202F-2030 2032-2033 2039-203A 203F 2043-2044 20A8 20AA 20AC 2103 2122 2190-2193 21D3 2206 2208
2212 221A 221E-221F 223C 2248 2256 2264-2265 2295 22C5 2550 25A0 25AC 25B2 25B4 25B7 25BA-25BC 25C6 25CF 25E6 2605-2606
261B 263B 2661 2665 266B 2713 2726 2731 2756 27A4 27A9 2800 3000-3002 300A-300D 3010-3011 309C 30B7 30C3-30C4 30F3
30FB-30FC 4E00 4E0A 58EB FD3E-FD3F FEFF FF01 FF08-FF09 FF0C FF0E FF11 FF1A-FF1B FF1F FF3E FF5E FFFC-FFFD"""
EMOJI = """A9 AE 203C 2049 2122 2139 2194-2199 21A9-21AA 231A-231B 2328 23CF 23E9-23F3 23F8-23FA 24C2 25AA-25AB 25B6
25C0 25FB-25FE 2600-2604 260E 2611 2614-2615 2618 261D 2620 2622-2623 2626 262A 262E-262F 2638-263A 2640 2642 2648-2653
265F-2660 2663 2665-2666 2668 267B 267E-267F 2692-2697 2699 269B-269C 26A0-26A1 26A7 26AA-26AB 26B0-26B1 26BD-26BE
26C4-26C5 26C8 26CE-26CF 26D1 26D3-26D4 26E9-26EA 26F0-26F5 26F7-26FA 26FD 2702 2705 2708-270D 270F 2712 2714 2716 271D
2721 2728 2733-2734 2744 2747 274C 274E 2753-2755 2757 2763-2764 2795-2797 27A1 27B0 27BF 2934-2935 2B05-2B07 2B1B-2B1C
2B50 2B55 3030 303D 3297 3299 1F004 1F0CF 1F170-1F171 1F17E-1F17F 1F18E 1F191-1F19A 1F201-1F202 1F21A 1F22F 1F232-1F23A
1F250-1F251 1F300-1F321 1F324-1F393 1F396-1F397 1F399-1F39B 1F39E-1F3F0 1F3F3-1F3F5 1F3F7-1F4FD 1F4FF-1F53D 1F549-1F54E
1F550-1F567 1F56F-1F570 1F573-1F57A 1F587 1F58A-1F58D 1F590 1F595-1F596 1F5A4-1F5A5 1F5A8 1F5B1-1F5B2 1F5BC 1F5C2-1F5C4
1F5D1-1F5D3 1F5DC-1F5DE 1F5E1 1F5E3 1F5E8 1F5EF 1F5F3 1F5FA-1F64F 1F680-1F6C5 1F6CB-1F6D2 1F6D5-1F6D9 1F6DC-1F6E5 1F6E9
1F6EB-1F6EC 1F6F0 1F6F3-1F6FC 1F7E0-1F7EB 1F7F0 1F90C-1F93A 1F93C-1F945 1F947-1F9FF 1FA70-1FA7C 1FA80-1FAC6 1FAC8
1FACC-1FADD 1FADF-1FAEB 1FAEF-1FAFA"""

# What datatrove's Gopher filter calls a symbol: punctuation and control characters.
SYMBOLS = """0-8 B-1F 21-2F 3A-40 5B-60 7B-9F AB B4 BB 2013-2014 2019 201C-201E 2026 2236 2501 25BA 3001-3002 3008-300D
3010-3011 FF01 FF05 FF08-FF09 FF0C FF0E FF11 FF1A-FF1B FF1F FF5E"""

# Scripts written without spaces between words: Thai, Lao, Myanmar, Khmer, Han, Hiragana, Katakana.
UNSPACED = """E01-E5B E81-EDF 1000-109F 1780-17FF 2E80-2FDF 3005-3007 3021-3029 3038-303B 3041-309F 30A1-30FA 30FC-30FF
31F0-31FF 3400-4DBF 4E00-9FFF A9E0-A9FF AA60-AA7F F900-FAFF FF66-FF9F 16FE2-16FE3 1AFF0-1B16F 20000-323AF"""


class Traits(NamedTuple):
    """Properties by code point: `kinds[page[cp >> 8] << 8 | cp & 255]`; those of ASCII once more by themselves."""

    page: np.ndarray  # uint16[0x2000]
    kinds: np.ndarray  # uint32
    ascii: np.ndarray  # uint32[128]


def ranges(text: str) -> np.ndarray:
    """Code points as rows of first and last, from hexadecimal text.

    >>> ranges("41-43 5F").tolist()
    [[65, 67], [95, 95]]
    """
    pairs = [item.partition("-") for item in text.split()]
    return np.array([[int(first, 16), int(last or first, 16)] for first, _, last in pairs])


def build() -> dict[str, np.ndarray]:
    """Ranges of digits, decimal digits and combining marks by the running Python, as stored in the file."""
    tests: dict[str, Callable[[str], bool]] = {
        "digit": str.isdigit,
        "decimal": str.isdecimal,
        "mark": lambda char: unicodedata.category(char).startswith("M"),
        "nonspacing": lambda char: unicodedata.category(char) == "Mn",
    }
    found = {}
    for name, test in tests.items():
        holds = np.array([0, *(test(chr(point)) for point in range(0x110000)), 0], np.int8)
        edges = np.flatnonzero(np.diff(holds)).reshape(-1, 2)
        found[name] = (edges - [0, 1]).astype(np.int32)
    return found


@cache
def traits() -> Traits:
    """All properties in one table, made once."""
    unicode = tables()
    points = np.arange(0x110000)
    kinds = unicode.classes[(unicode.page[points >> 8].astype(np.int64) << 8) | (points & 255)].astype(np.uint32)
    with np.load(FILE) as stored:
        pinned = ((DIGIT, "digit"), (DECIMAL, "decimal"), (MARK, "mark"), (NONSPACING, "nonspacing"))
        sets = [(bit, stored[name]) for bit, name in pinned]
    texts = ((TERMINAL, TERMINALS), (SPECIAL, SPECIALS), (SPECIAL, EMOJI), (SYMBOL, SYMBOLS), (SINGLE, UNSPACED))
    for bit, rows in [*sets, *((bit, ranges(text)) for bit, text in texts)]:
        for first, last in rows:
            kinds[first : last + 1] |= bit
    kinds[(kinds & WORD != 0) & (points != ord("_"))] |= ALNUM
    kinds[kinds & ALPHA == 0] &= ~np.uint32(SINGLE)
    numbers: dict[bytes, int] = {}
    page = [numbers.setdefault(row.tobytes(), len(numbers)) for row in kinds.reshape(-1, 256)]
    index = np.full(0x2000, page[-1], np.uint16)  # beyond Unicode: nothing is assigned there
    index[: len(page)] = page
    pages = np.frombuffer(b"".join(numbers), np.uint32)
    return Traits(read_only(index), read_only(pages), read_only(kinds[:128].copy()))


@inner
def kind_of(traits: Traits, point: Any) -> Any:
    """The properties of a code point."""
    return np.int64(traits.kinds[u64(traits.page[u64(point >> 8)]) << u64(8) | u64(point & 255)])


if __name__ == "__main__":
    if not unicodedata.unidata_version.startswith(VERSION):
        sys.exit(f"these tables are of Unicode {VERSION}, this Python has {unicodedata.unidata_version}")
    np.savez_compressed(FILE, **build())  # type: ignore[arg-type]
