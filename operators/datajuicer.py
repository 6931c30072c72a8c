"""Data-Juicer's text statistics (Chen et al. 2024, arXiv 2309.02033)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pyarrow as pa

from curate import assets
from curate.errors import PlanError
from curate.family import Family

Positive = Annotated[int, msgspec.Meta(ge=1)]


class DatajuicerSignals(Family, frozen=True):
    """The quantities of Data-Juicer's text filters, at their defaults.

    Words are split at spaces, tabs and line feeds, put in lower case and stripped of special characters; with
    `words`, they are found by another rule first (its tokenisation: true needs a model). A list has one word per
    line. All columns are 0 for an empty document; without a list its column is null.

    signals        names of the columns to write (default: all)
    char_ngram     characters of the n-grams whose repetition is measured
    word_ngram     words of the n-grams whose repetition is measured
    words          published, or how words are found: unicode, whitespace, wordpunct or characters
    flagged_words  a list of flagged words: a path, or an asset (ldnoobw/en)
    stop_words     a list of stop words

    datajuicer_text_length            code points (0 and more)
    datajuicer_word_count             words of which something is left
    datajuicer_max_line_length        code points of the longest line (splitlines, without line ends)
    datajuicer_mean_line_length       code points per line (splitlines; line ends count)
    datajuicer_alnum_ratio            letters and digits among the characters (0..1)
    datajuicer_special_char_ratio     white space, digits, punctuation, emoji and 185 others among the characters (0..1)
    datajuicer_char_repetition_ratio  occurrences of the most frequent n-grams of characters (0..1): those that
                                      repeat, at most as many as the square root of the number of different ones
    datajuicer_word_repetition_ratio  occurrences of n-grams of words that occur twice or more (0..1)
    datajuicer_flagged_word_ratio     words that are in the list (0..1)
    datajuicer_stop_word_ratio        words that are in the list (0..1)

    >>> DatajuicerSignals()("Rain (again)!")["datajuicer_word_count"]
    2
    """

    columns = {
        "datajuicer_text_length": pa.int32(),
        "datajuicer_word_count": pa.int32(),
        "datajuicer_max_line_length": pa.int32(),
        "datajuicer_mean_line_length": pa.float64(),
        "datajuicer_alnum_ratio": pa.float64(),
        "datajuicer_special_char_ratio": pa.float64(),
        "datajuicer_char_repetition_ratio": pa.float64(),
        "datajuicer_word_repetition_ratio": pa.float64(),
        "datajuicer_flagged_word_ratio": pa.float64(),
        "datajuicer_stop_word_ratio": pa.float64(),
    }

    char_ngram: Positive = 10
    word_ngram: Positive = 10
    words: Literal["published", "unicode", "whitespace", "wordpunct", "characters"] = "published"
    flagged_words: str = ""
    stop_words: str = ""

    def files(self) -> tuple[str, ...]:
        return tuple(file for name in (self.flagged_words, self.stop_words) if name for file in assets.files(name))

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        from curate.kernels.characters import characters
        from curate.kernels.datajuicer import character_repetition
        from curate.kernels.lexer import lex
        from curate.kernels.lines import longest_line, split_lines
        from curate.kernels.shares import share

        lexed = lex(text)
        lines = split_lines(lexed)
        found = {
            "text_length": pa.array(lexed.characters, pa.int32()),
            "max_line_length": pa.array(longest_line(lines), pa.int32()),
            "mean_line_length": pa.array(share(lexed.characters, lines.splits[1:] - lines.splits[:-1])),
        }
        if self.wants("datajuicer_alnum_ratio", "datajuicer_special_char_ratio"):
            counts = characters(lexed)
            found["alnum_ratio"] = pa.array(share(counts["alnum"], lexed.characters))
            found["special_char_ratio"] = pa.array(share(counts["special"], lexed.characters))
        if self.wants("datajuicer_char_repetition_ratio"):
            found["char_repetition_ratio"] = pa.array(character_repetition(lexed, self.char_ngram))
        names = ("word_count", "word_repetition_ratio", "flagged_word_ratio", "stop_word_ratio")
        if self.wants(*(f"datajuicer_{name}" for name in names)):
            found |= self._of_words(text)
        return self.chosen({f"datajuicer_{name}": values for name, values in found.items()})

    def _of_words(self, text: pa.StringArray) -> dict[str, pa.Array]:
        from curate.kernels.datajuicer import listed, refined, word_repetition
        from curate.kernels.lexer import lex

        words = refined(lex(text), "" if self.words == "published" else self.words)
        found = {"word_count": pa.array(words.splits[1:] - words.splits[:-1], pa.int32())}
        if self.wants("datajuicer_word_repetition_ratio"):
            found["word_repetition_ratio"] = pa.array(word_repetition(words, self.word_ngram))
        for name, path in (("flagged_word_ratio", self.flagged_words), ("stop_word_ratio", self.stop_words)):
            nothing = pa.nulls(len(text), pa.float64())
            found[name] = pa.array(listed(words, read_list(str(assets.locate(path))))) if path else nothing
        return found


@lru_cache(maxsize=8)
def read_list(path: str) -> tuple[str, ...]:
    """The words of a list, one per line; blank lines are left out. Raises PlanError if it cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"datajuicer_signals: the list of words {path} cannot be read: {error}") from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())
