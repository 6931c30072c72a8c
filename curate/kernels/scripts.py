"""Which script most letters of a text are of, by ISO 15924 code (Unicode's property Script, the larger ones)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from curate.kernels.jit import kernel
from curate.kernels.text import buffers, decode
from curate.kernels.traits import Traits, kind_of, traits
from curate.kernels.unicode import ALPHA

# First and last code points; what is no letter is passed over when letters are counted.
RANGES = """
Latn 41-AA BA-2B8 2E0-2E4 1D00-1D25 1D2C-1D5C 1D62-1D65 1D6B-1D77 1D79-1DBE 1E00-1EFF 2071-209F 212A-212B 2132
  214E-2188 2C60-2C7F A722-A787 A78B-A7FF AB30-AB64 AB66-AB6D FB00-FB06 FF21-FF5A 10780-107BF 1DF00-1DFF2
Grek 370-373 375-3E1 3F0-3FF 1D26-1D2A 1D5D-1D61 1D66-1D6A 1DBF 1F00-1FFE 2126 AB65 1D200-1D245
Copt 3E2-3EF 2C80-2CFF
Cyrl 400-52F 1C80-1C8A 1D2B 1D78 2DE0-2DFF A640-A69F FE2E-FE2F
Armn 531-58F FB13-FB17
Hebr 591-5F4 FB1D-FB4F
Arab 600-63F 641-6FF 750-77F 870-8FF FB50-FDFF FE70-FEFC 1EE00-1EEF1
Syrc 700-74F 860-86A
Thaa 780-7B1
Nkoo 7C0-7FF
Deva 900-97F A8E0-A8FF
Beng 980-9FE
Guru A01-A76
Gujr A81-AFF
Orya B01-B77
Taml B82-BFA
Telu C00-C7F
Knda C80-CF3
Mlym D00-D7F
Sinh D81-DF4
Thai E01-E5B
Laoo E81-EDF
Tibt F00-FDA
Mymr 1000-109F A9E0-A9FE AA60-AA7F
Geor 10A0-10FF 1C90-1CBF 2D00-2D2D
Hang 1100-11FF 302E-302F 3131-318E A960-A97C AC00-D7FB FFA0-FFDC
Ethi 1200-1399 2D80-2DDE AB01-AB2E 1E7E0-1E7FE
Cher 13A0-13FD AB70-ABBF
Cans 1400-167F 18B0-18F5 11AB0-11ABF
Khmr 1780-17F9
Mong 1800-18AA
Limb 1900-194F
Tale 1950-1974
Talu 1980-19DF
Lana 1A20-1AAD
Bali 1B00-1B7F
Sund 1B80-1BBF
Lepc 1C00-1C4F
Olck 1C50-1C7F
Tfng 2D30-2D7F
Hani 2E80-3005 3038-303B 3400-9FFF F900-FAD9 16FE2-16FF6 20000-2EE5D 2F800-2FA1D 30000-33479
Hira 3041-309F 1B001-1B11F 1B132-1B152
Kana 30A1-30FA 30FD-30FF 31F0-31FF FF66-FF6F FF71-FF9D 1AFF0-1B000 1B120-1B122 1B155-1B168
Bopo 3105-312F 31A0-31BF
Yiii A000-A4C6
Lisu A4D0-A4FF 11FB0
Vaii A500-A62B
Java A980-A9CD
Cham AA00-AA5F
Mtei AAE0-AAF6 ABC0-ABF9
Goth 10330-1034A
Rohg 10D00-10D39
Wcho 1E2C0-1E2FF
Adlm 1E900-1E95F
"""

NONE = "Zyyy"  # ISO 15924: common; here for text without letters
OTHER = "Zzzz"  # letters of none of the scripts above
JAPANESE = "Jpan"  # Han with at least one Hiragana or Katakana in ten
KANA = 0.1


@cache
def _table() -> tuple[tuple[str, ...], np.ndarray]:
    """Names of scripts, the first two NONE and OTHER, and the script of each code point."""
    names, script = [NONE, OTHER], np.ones(0x110000, np.uint8)
    for line in RANGES.strip().replace("\n  ", " ").splitlines():
        name, *ranges = line.split()
        for each in ranges:
            first, _, last = each.partition("-")
            script[int(first, 16) : int(last or first, 16) + 1] = len(names)
        names.append(name)
    return tuple(names), script


def scripts(text: pa.Array) -> pa.StringArray:
    """The script of each text.

    >>> scripts(pa.array(["Straße", "Москва 2024", "渡し船は正午に出る", "12 + 3"])).to_pylist()
    ['Latn', 'Cyrl', 'Jpan', 'Zyyy']
    """
    names, script = _table()
    data, offsets = buffers(text)
    counts = np.zeros((len(text), len(names)), np.int64)
    count_letters(data, offsets, script, traits(), counts)
    han, kana = names.index("Hani"), counts[:, [names.index("Hira"), names.index("Kana")]].sum(axis=1)
    whole = counts[:, han] + kana
    japanese = np.where((kana > 0) & (kana >= KANA * whole), whole, 0)
    best = counts.argmax(axis=1)
    best = np.where(japanese >= counts.max(axis=1, initial=1), len(names), best)
    return pa.array([*names, JAPANESE]).take(pa.array(best))


@kernel(allocates=False)
def count_letters(data: Any, offsets: Any, script: Any, traits: Traits, counts: Any) -> None:
    """Fill the letters of each script."""
    for d in range(len(offsets) - 1):
        i, end, ascii = np.int64(offsets[d]), np.int64(offsets[d + 1]), 0
        while i < end:
            byte = data[i] | 0x20
            if data[i] < 0x80:
                ascii += 0x61 <= byte <= 0x7A
                i += 1
            else:
                point, i = decode(data, i, end)
                if kind_of(traits, point) & ALPHA:
                    counts[d, script[min(point, 0x10FFFF)]] += 1
        counts[d, script[0x61]] += ascii
