"""Plain-Python twins of the kernels, and texts that are hard to lex."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from curate.kernels import unicode

SHARED = Path(__file__).resolve().parents[2] / "../shared/data"
PIECES = [
    *" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2007\u200a\u2028\u2029\u202f\u205f\u3000",  # white space
    *"\u200b\u200d\ufeff\u180e\xad\x00\x01\x7f\ufffd",  # what only looks like it, and controls
    *(
        "...",
        "..",
        ".",
        "....",
        "…",
        "!",
        "?",
        "#",
        "##",
        ",",
        "'",
        "-",
        "_",
        "”",
        "。",
        "•",
        "–",
        "■",
        "\u037e",
        "\u1fef",
    ),
    *("Σ", "ΑΣ", "ΟΔΥΣΣΕΥΣ", "ς", "σ", "Σ.Α", "AΣ-B", "ΑΣ\u0301", "ʼΣ", "İ", "I\u0307", "ẞ", "ß", "ﬁ", "ǅ", "Ⅷ", "ª"),
    *(
        "e\u0301",
        "\u0301",
        "a\u0327\u0301",
        "q\u0301\u0323",
        "\u0315\u0300\u05ae\u0062",
        "Å",
        "Ệ",
        "\u1e9b\u0323",
        "\u2260",
    ),
    *(
        "한",
        "각",
        "가",
        "\u1100\u1161\u11a8",
        "ป็น",
        "नमस्ते",
        "क़",
        "שָׁ",
        "مَرْحَبًا",
        "日本語",
        "ｱﾞ",
        "豈",
        "\U0001d160",
        "𐐀",
        "𝔘",
    ),
    *(
        "🏳\ufe0f\u200d🌈",
        "👩\u200d👩\u200d👧",
        "🇩🇪",
        "a",
        "B",
        "the",
        "The",
        "cat",
        "don't",
        "x-ray",
        "1,000",
        "A1",
        "Éa",
    ),
    *("abcdefgh", "abcdefghi", "ABCDEFGHIJKLMNOPQ", "http://a.b/c?d=e", "========", "\n\n", "\r\n", " \n \n"),
]
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@cache
def is_pinned(char: str) -> bool:
    """Whether the running Python knows the character as the pinned tables do."""
    tables = unicode.tables()
    at = int(tables.page[ord(char) >> 8]) << 8 | ord(char) & 255
    return unicode.classes_of(char) == tables.classes[at]


characters = st.characters(exclude_categories=["Cs", "Cn"]).filter(is_pinned)
texts = st.lists(st.sampled_from(PIECES) | characters, max_size=100).map("".join)
repetitive = st.lists(
    st.sampled_from([*"abcd", "a, ", "• ", "#", "...", "x…", "é", "B", *" " * 6, *"\n" * 3]), max_size=150
) | st.lists(st.sampled_from(["one ", "The ", "three, ", "of the ", "seventeen ", "\n"]), max_size=40)


def normal(word: str) -> str:
    """A word as RedPajama-V2 normalises it."""
    return unicodedata.normalize("NFD", word.translate(_PUNCTUATION).lower())


def lines(text: str) -> list[str]:
    return [line.removesuffix("\n") for line in re.findall(r"[^\n]*\n|[^\n]+$", text)]


def sentences(text: str) -> int:
    return len(re.findall(r"\b[^.!?]+[.!?]*", text))


def digest(data: bytes) -> int:
    """The 64-bit hash of words and lines."""
    modulus, factor = 2**64 - 1, 0xD6E8FEB86659FD93
    h = 0x9E3779B97F4A7C15 ^ len(data)
    while len(data) > 8:
        h = (h ^ int.from_bytes(data[:8], "little")) * factor & modulus
        h ^= h >> 29
        data = data[8:]
    h = (h ^ int.from_bytes(data, "little")) * factor & modulus
    return h ^ h >> 32


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def duplicates(items: list[str], lengths: list[int]) -> tuple[float, float]:
    """Share of second and later occurrences, by number and by length."""
    seen: set[str] = set()
    again = [item in seen or seen.add(item) for item in items]  # type: ignore[func-returns-value]
    repeated = sum(length for length, is_again in zip(lengths, again, strict=True) if is_again)
    return share(sum(map(bool, again)), len(items)), share(repeated, sum(lengths))


def grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def top_gram(words: list[str], n: int) -> float:
    gram, count = (Counter(grams(words, n)).most_common(1) or [((), 0)])[0]
    return min(1.0, share(len("".join(gram)) * count, len("".join(words)))) if count > 1 else 0.0


def duplicate_gram(words: list[str], n: int) -> float:
    counts = Counter(grams(words, n))
    inside = {i + k for i, gram in enumerate(grams(words, n)) if counts[gram] > 1 for k in range(n)}
    return share(sum(len(words[i]) for i in inside), len("".join(words)))


def gopher(text: str) -> dict[str, float]:
    """The Gopher signals of one document."""
    words, stripped = text.split(), [line.strip() for line in text.split("\n")]
    full = [line for line in stripped if line]
    paragraphs = [p.strip("\n") for p in re.split(r"\n\n+", "\n".join(stripped)) if p.strip("\n")]
    normals = [form for word in words if (form := normal(word))]
    stops = {"the", "be", "to", "of", "and", "that", "have", "with"}
    by_line = duplicates(full, [len(line) for line in full])
    by_paragraph = duplicates(paragraphs, [len(p.replace("\n", "")) for p in paragraphs])
    return {
        "word_count": len(words),
        "stop_word_count": len(stops & set(normals)),
        "mean_word_length": share(sum(map(len, words)), len(words)),
        "hash_word_ratio": share(text.count("#"), len(words)),
        "ellipsis_word_ratio": share(text.count("...") + text.count("…"), len(words)),
        "alpha_word_ratio": share(sum(any(c.isalpha() for c in word) for word in words), len(words)),
        "bullet_line_ratio": share(sum(line[0] in "-•‣▶◀◦■□▪▫–" for line in full), len(full)),
        "ellipsis_line_ratio": share(sum(line.endswith(("...", "…")) for line in full), len(full)),
        "duplicate_line_ratio": by_line[0],
        "duplicate_line_char_ratio": by_line[1],
        "duplicate_paragraph_ratio": by_paragraph[0],
        "duplicate_paragraph_char_ratio": by_paragraph[1],
        **{f"top_{n}gram_char_ratio": top_gram(normals, n) for n in (2, 3, 4)},
        **{f"duplicate_{n}gram_char_ratio": duplicate_gram(normals, n) for n in range(5, 11)},
    }


def fold(word: str) -> str:
    return unicodedata.normalize("NFD", word.lower())
