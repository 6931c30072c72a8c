"""Statistics that rules of many systems use: NeMo Curator's ratios, entropy, compression, unique and longest words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from curate.family import Family

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

COUNTS = ("byte", "character", "word", "line", "sentence", "link", "longest_word", "longest_line")
CLASSES = ("letter", "digit", "uppercase", "whitespace", "punctuation", "parenthesis", "curly_bracket", "non_ascii")
LEVEL = 1  # of zstd, with its settings for long texts: by itself it takes others for short ones
RATIOS = (*(f"{name}_ratio" for name in CLASSES), "non_alnum_ratio", "link_char_ratio")
OF_WORDS = ("mean_word_length", "longest_word", "unique_word_ratio", "word_entropy", "word_count")


def column(name: str) -> str:
    """The name of a count's column."""
    return f"text_{name}" if name.startswith("longest") else f"text_{name}_count"


class TextStatistics(Family, frozen=True):
    """Counts, shares of characters and measures of redundancy of each document.

    Lines are split at line feeds. Sentences are those of `c4_signals`, in all lines that are not blank; links begin
    with http, https or ftp and ://, or with www., and end at white space, < > " ` { } | \\ ^ or what is not ASCII.
    Ratios are 0..1 unless said; all columns are 0 for an empty document.

    signals   names of the columns to write (default: all)
    words     how words are found: unicode, whitespace, wordpunct or characters

    text_byte_count            bytes of UTF-8
    text_character_count       code points
    text_word_count            words
    text_line_count            lines (a line feed at the very end begins none)
    text_sentence_count        sentences
    text_link_count            links
    text_longest_word          code points of the longest word
    text_longest_line          code points of the longest line, without outer white space
    text_letter_ratio          letters among the code points;
    text_digit_ratio           digits (`str.isdigit`);
    text_uppercase_ratio       upper case;
    text_whitespace_ratio      white space, line feeds included (NeMo: at most 0.25);
    text_punctuation_ratio     Unicode's punctuation;
    text_parenthesis_ratio     ( ) [ ] { } ⟨ ⟩ (NeMo: at most 0.1);
    text_curly_bracket_ratio   { };
    text_non_ascii_ratio       what is not ASCII;
    text_non_alnum_ratio       what is neither letter nor digit (NeMo: at most 0.25);
    text_link_char_ratio       characters of links (NeMo: at most 0.2)
    text_mean_line_length      code points per line, without outer white space
    text_mean_word_length      code points per word
    text_unique_word_ratio     different words, in the case they have, per word
    text_word_entropy          entropy of the words' distribution, in nats (0 and more)
    text_byte_entropy          entropy of the bytes' distribution, in bits (0..8)
    text_compression_ratio     bytes after zstd (level 1 as for long texts) per byte (above 1 for very short ones)

    >>> TextStatistics()("See www.example.org!")["text_link_char_ratio"]
    0.8
    """

    version = 3
    columns = (
        {column(name): pa.int32() for name in COUNTS}
        | {f"text_{name}": pa.float64() for name in RATIOS}
        | {f"text_{name}": pa.float64() for name in ("mean_line_length", "mean_word_length", "unique_word_ratio")}
        | {f"text_{name}": pa.float64() for name in ("word_entropy", "byte_entropy", "compression_ratio")}
    )

    words: Literal["unicode", "whitespace", "wordpunct", "characters"] = "unicode"

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        import numpy as np

        from curate.kernels.landmarks import SENTENCE, landmarks, occurrences
        from curate.kernels.lexer import lex
        from curate.kernels.lines import longest, sums
        from curate.kernels.repetition import stripped_lines
        from curate.kernels.shares import share
        from curate.kernels.statistics import links

        lexed = lex(text)
        found, lines, full = landmarks(lexed), np.diff(lexed.line_splits), stripped_lines(lexed)
        link_count, link_characters = links(lexed, found)
        counts = {
            "byte": np.diff(lexed.offsets),
            "character": lexed.characters,
            "line": lines,
            "sentence": occurrences(found, SENTENCE) + np.diff(full.splits),
            "link": link_count,
            "longest_line": longest(lexed.lines.characters, lexed.line_splits),
        }
        ratios = {"link_char_ratio": share(link_characters, lexed.characters)}
        ratios["mean_line_length"] = share(sums(lexed.lines.characters, lexed.line_splits), lines)
        if self.wants("text_byte_entropy", *(f"text_{name}" for name in RATIOS)):
            ratios |= self._of_characters(text)
        if self.wants(*(f"text_{name}" for name in OF_WORDS)):
            more_counts, more_ratios = self._of_words(text)
            counts, ratios = counts | more_counts, ratios | more_ratios
        if self.wants("text_compression_ratio"):
            ratios["compression_ratio"] = compression(text)
        made = {f"text_{name}": pa.array(values) for name, values in ratios.items()}
        return self.chosen(made | {column(name): pa.array(values, pa.int32()) for name, values in counts.items()})

    def _of_characters(self, text: pa.StringArray) -> Arrays:
        from curate.kernels.characters import characters
        from curate.kernels.lexer import lex
        from curate.kernels.shares import share

        lexed = lex(text)
        counts = characters(lexed)
        ratios = {f"{name}_ratio": share(counts[name], lexed.characters) for name in CLASSES}
        ratios["non_alnum_ratio"] = share(lexed.characters - counts["alnum"], lexed.characters)
        return ratios | {"byte_entropy": counts["byte_entropy"]}

    def _of_words(self, text: pa.StringArray) -> tuple[Arrays, Arrays]:
        import numpy as np

        from curate.kernels.lexer import lex
        from curate.kernels.lines import longest, sums
        from curate.kernels.segment import segment
        from curate.kernels.shares import share
        from curate.kernels.statistics import distribution

        words = segment(lex(text), self.words)
        total = np.diff(words.splits)
        distinct, entropy = distribution(words)
        counts = {"word": total, "longest_word": longest(words.characters, words.splits)}
        ratios = {"mean_word_length": share(sums(words.characters, words.splits), total), "word_entropy": entropy}
        return counts, ratios | {"unique_word_ratio": share(distinct, total)}


def compression(text: pa.StringArray) -> np.ndarray:
    """Bytes after zstd per byte before, each document by itself (0 for an empty one).

    One compressor serves them all: to make one takes ten times as long as to compress a short document.

    >>> compression(pa.array(["a" * 1000, ""])).round(3).tolist()
    [0.019, 0.0]
    """
    import numpy as np
    from zstandard import ZstdCompressionParameters, ZstdCompressor

    from curate.kernels.shares import share
    from curate.kernels.text import buffers

    data, offsets = buffers(text)
    compressor = ZstdCompressor(compression_params=ZstdCompressionParameters.from_level(LEVEL))
    compress, body = compressor.compress, memoryview(data)  # type: ignore[arg-type]
    spans = zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    sizes = np.fromiter((len(compress(body[begin:end])) for begin, end in spans), np.int64, len(text))
    return share(sizes * (np.diff(offsets) > 0), np.diff(offsets))
