"""Numbers and texts as people read them, and as no text of a document can disturb the page or the terminal."""

from __future__ import annotations

import re
from math import isfinite, sqrt
from typing import Any

LONGEST = 200  # characters of one value

# Controls (C0 but for tab and line feed, DEL, C1), and what changes the direction or the order of the text around it.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def number(value: Any) -> str:
    """A value as people read it; long text is cut.

    >>> number(1234567), number(0.123456), number(None), number("x")
    ('1,234,567', '0.1235', 'null', 'x')
    """
    if value is None:
        return "null"
    if isinstance(value, float) and isfinite(value):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = str(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def broken(name: str) -> Any:
    """The name of a step, a rule or a column as HTML that may be broken after a dot or a low line.

    >>> str(broken("gopher.top_2gram<"))
    'gopher.<wbr>top_<wbr>2gram&lt;'
    """
    from markupsafe import Markup, escape

    return Markup(re.sub(r"([._])", r"\1<wbr>", str(escape(visible(name)))))


def share(part: float, whole: float) -> str:
    """A share in per cent; rounding never turns something into nothing, nor nearly all into all.

    >>> share(1, 3), share(1, 10**6), share(999_999, 10**6), share(0, 0)
    ('33.3%', '<0.1%', '>99.9%', '0.0%')
    """
    percent = 100 * part / (whole or 1)
    if 0 < percent < 0.05:
        return "<0.1%"
    return ">99.9%" if 99.95 <= percent < 100 else f"{percent:.1f}%"


def megabytes(size: int) -> str:
    """A size in MB (10**6 bytes).

    >>> megabytes(43_810_000), megabytes(2100), megabytes(0)
    ('43.81', '<0.01', '0.00')
    """
    return "<0.01" if 0 < size < 5000 else f"{size / 1e6:,.2f}"


def seconds(time: float) -> str:
    """A time as people say it.

    >>> seconds(0.0042), seconds(12.34), seconds(754), seconds(40_000)
    ('4 ms', '12.3 s', '12 min 34 s', '11 h 6 min')
    """
    if time < 0.9995:
        return f"{1000 * time:.0f} ms"
    if time < 120:
        return f"{time:.1f} s"
    minutes = round(time) // 60
    return f"{minutes} min {round(time) % 60} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def shade(part: float) -> str:
    """How dark a share is in a heat map, in per cent; by its square root, so that small shares are seen.

    >>> shade(0.0), shade(0.01), shade(1.0)
    ('0', '8', '80')
    """
    return f"{80 * sqrt(part):.0f}"


def visible(text: str) -> str:
    """The text with controls as names: none can move a terminal's cursor, ring, or turn the text around it.

    >>> visible("a" + chr(27) + "[2J" + chr(0x202E) + "b")
    'a⟨1B⟩[2J⟨202E⟩b'
    """
    return UNSEEN.sub(lambda found: f"⟨{ord(found[0]):02X}⟩", text.replace("\r\n", "\n"))
