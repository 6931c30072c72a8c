"""Instances and column values to check operators with: multilingual, repetitive and odd texts, ids, numbers."""

from __future__ import annotations

import itertools
import random
import typing
from collections.abc import Sequence
from typing import TypeVar

import pyarrow as pa

from curate.errors import PlanError
from curate.operator import ROW, Columns, Operator, Types

O = TypeVar("O", bound=Operator)  # noqa: E741

GUESSES = (pa.float64(), pa.string(), pa.bool_(), pa.list_(pa.float32(), 3))  # for columns of any type
SENTENCES = (
    "The lighthouse keeper counts the ships that pass and forgets the number every morning.",
    "Don't ask what it costs: $3.50, or 2 for $6 (while stocks last)!",
    "Im Herbst riecht der Hof nach Äpfeln, und die Straße glänzt vom Regen.",
    "L'été, on déjeune dehors ; l'hiver, on parle de l'été.",
    "¿Quién dejó la puerta abierta? El gato no fue.",
    "Żółw przeszedł przez ulicę, zanim światło się zmieniło.",
    "Поезд опоздал на двадцать минут, и никто не удивился.",
    "Ο γείτονας ποτίζει τα λουλούδια κάθε βράδυ.",
    "İstanbul'da yağmur yağınca ışıklar denize düşer.",
    "في الصباح نشرب القهوة ثم نفتح النوافذ.",
    "הספרנית מצאה מכתב ישן בין הדפים.",
    "नदी के किनारे बच्चे पतंग उड़ाते हैं।",
    "ตลาดเช้าเปิดก่อนพระอาทิตย์ขึ้น",
    "雨が降ると、祖母は必ず窓を開けた。",
    "图书馆关门以后，灯还亮着。",
    "할머니는 매일 같은 길로 시장에 간다.",
    "ልጆቹ ከትምህርት ቤት ተመለሱ።",
)
NASTY = (
    "",
    " ",
    "\n",
    " \t\r\n\v\f\x1c\x85\u2028\u3000",
    "a",
    "7",
    ".",
    "#",
    "...",
    "…",
    "\x00",
    "nul\x00inside",
    "\x1b[31mred\x1b[0m \x7f\x80\x9f",
    "\ufeffmark first",
    "e\u0301 e" + "\u0301" * 50,
    "👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 ok",
    "🇫🇮",
    "\u202eright to left\u202c \u200f(שלום) مرحبا",
    "zero\u200bwidth\u200cjoin\u200der\u00adsoft",
    "\u0130\u0131 \u1e9e\u00df \ufb03 \u01c5 \uff21",
    "\U0010ffff\ufffe\ufffd",
    "line\r\nline\rline\u2028line\u0085line",
    "\n\n\n- \n* \n•\n",
    "x" * 20_000,
    "word " * 5_000,
    "\n" * 5_000,
    "same line\n" * 500,
    "<p>a</p> &amp; {{b}} \\u0041 %s ${c}",
    "http://example.org/a?b=c#d me@example.org 127.0.0.1",
)


def example(cls: type[O]) -> O:
    """An instance to check: of the class's own `example` (a dict of parameters or a class method), or the defaults.

    Raises TypeError when parameters are required and the class has no `example`.

    >>> from curate.operators.normalize import Normalize
    >>> example(Normalize) == Normalize()
    True
    """
    given = getattr(cls, "example", {})
    try:
        return typing.cast(O, given()) if callable(given) else cls(**given)
    except TypeError as error:
        raise TypeError(f"{cls.name()}: {error} - give the class `example`, a dict of parameters") from error


def example_columns(operator: Operator, seed: int = 0) -> Columns:
    """Seeded values for the columns an operator reads: multilingual and odd texts, unique ids, numbers; no nulls."""
    chance = random.Random(seed)
    texts = example_texts(chance)
    return {name: _values(name, kind, texts, chance) for name, kind in _kinds(operator).items()}


def example_texts(chance: random.Random) -> list[str]:
    """Documents in many scripts, exact and near copies, lists and repetition, and the NASTY ones, shuffled."""
    texts = []
    for _ in range(40):
        tongue = chance.sample(SENTENCES, 3)
        ends = chance.choices([" ", "\n", "\n\n", "...\n- ", "  "], k=chance.randint(1, 15))
        texts.append("".join(chance.choice(tongue) + end for end in ends))
    long = [text for text in texts if len(text) > 400]
    texts += [*texts[:4], *(text.upper() for text in texts[:2]), *(text + " And more." for text in long[:4]), *NASTY]
    return chance.sample(texts, len(texts))


def _kinds(operator: Operator) -> Types:
    """A type for every column: what is asked for, or the first combination that the operator's `check` accepts."""
    reads = operator.reads()
    free = [name for name, kind in reads.items() if kind is None]
    for guess in itertools.islice(itertools.product(GUESSES, repeat=len(free)), 1000):
        kinds = {**reads, **dict(zip(free, guess, strict=True))}
        try:
            operator.check(kinds)
            return kinds
        except PlanError as error:
            refusal = error
    raise AssertionError(f"{operator.name()}: check() refuses every type tried for {', '.join(reads)}: {refusal}")


def _values(name: str, kind: pa.DataType, texts: Sequence[str], chance: random.Random) -> pa.Array:
    rows = len(texts)
    if name == ROW:
        return pa.array(range(rows), kind)
    if name == "id":
        return pa.array([f"doc-{at:04d}" for at in chance.sample(range(rows), rows)], kind)
    if name == "source":
        return pa.array(chance.choices(["web", "books", "forum"], k=rows), kind)
    if name == "language":
        return pa.array(chance.choices(["en", "de", "zh", "zxx", ""], k=rows), kind)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return pa.array([text.encode() for text in texts]).cast(kind)
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        width = kind.list_size if pa.types.is_fixed_size_list(kind) else 3
        inner = [_values("", kind.value_type, texts, chance) for _ in range(width)]
        return pa.array([list(row) for row in zip(*(array.to_pylist() for array in inner), strict=True)], kind)
    numbers = [0, 1, *(chance.randint(0, 100) for _ in range(rows - 2))]
    if pa.types.is_floating(kind):
        return pa.array([number / chance.choice([1, -7, 100]) for number in numbers], kind)
    return pa.array(numbers).cast(kind, safe=False)
