"""The quantities of Dolma's taggers gopher and c4 (Soldaini et al. 2024, arXiv 2402.00159)."""

import pyarrow as pa

from curate.family import Family

COUNTS = (
    "character_count",
    "word_count",
    "line_count",
    "required_word_count",
    "javascript_count",
    "lorem_ipsum_count",
    "curly_bracket_count",
)
WORDS = {"symbol_word": "symbol_words", "alpha_word": "alpha_words"}
LINES = {"bullet": "bullets", "ellipsis": "ellipses", "no_terminal_mark": "unmarked", "short": "short"}
GRAMS = (*(f"top_{n}gram" for n in (2, 3, 4)), *(f"duplicate_{n}gram" for n in range(5, 11)))


class DolmaSignals(Family, frozen=True):
    """Dolma's counts: words by white space in the case they have, lines split at line feeds, empty ones too.

    Duplicates are all occurrences of what repeats, the first included. Ratios are 0..1 but those of n-grams and of
    characters in lines, which may exceed 1; all columns are 0 for an empty document except its one line, which is
    empty.

    signals   names of the columns to write (default: all)

    dolma_character_count              code points
    dolma_word_count                   words
    dolma_line_count                   line feeds and one
    dolma_required_word_count          occurrences of the, be, to, of, and, that, have, with
    dolma_javascript_count             occurrences of "javascript", in any case of the letters
    dolma_lorem_ipsum_count            occurrences of "lorem ipsum", in any case of the letters
    dolma_curly_bracket_count          occurrences of {
    dolma_median_word_length           median of the words' characters
    dolma_symbol_word_ratio            words with # or …
    dolma_alpha_word_ratio             words with a letter
    dolma_bullet_line_ratio            lines that begin with * or -
    dolma_ellipsis_line_ratio          lines that end with …
    dolma_no_terminal_mark_line_ratio  lines that, stripped, do not end in . ? ! or "
    dolma_short_line_ratio             lines of fewer than 3 words
    dolma_duplicate_line_ratio         lines that occur twice or more
    dolma_duplicate_line_char_ratio    characters in them, per character of a word
    dolma_top_2gram_char_ratio         most frequent 2-gram times its occurrences, of the words' characters;
    dolma_top_3gram_char_ratio         the same for 3-grams
    dolma_top_4gram_char_ratio         and 4-grams
    dolma_duplicate_5gram_char_ratio   characters of 5-grams that occur twice or more, of those of all 5-grams;
    dolma_duplicate_6gram_char_ratio   the same for 6-grams,
    dolma_duplicate_7gram_char_ratio   7-grams,
    dolma_duplicate_8gram_char_ratio   8-grams,
    dolma_duplicate_9gram_char_ratio   9-grams
    dolma_duplicate_10gram_char_ratio  and 10-grams

    >>> DolmaSignals()("one\\ntwo\\none")["dolma_duplicate_line_ratio"]
    0.6666666666666666
    """

    columns = (
        {f"dolma_{name}": pa.int32() for name in COUNTS}
        | {"dolma_median_word_length": pa.float64()}
        | {f"dolma_{name}_ratio": pa.float64() for name in WORDS}
        | {f"dolma_{name}_line_ratio": pa.float64() for name in LINES}
        | {f"dolma_duplicate_line{name}_ratio": pa.float64() for name in ("", "_char")}
        | {f"dolma_{name}_char_ratio": pa.float64() for name in GRAMS}
    )

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        from curate.kernels.dolma import dolma
        from curate.kernels.landmarks import JAVASCRIPT, LOREM, landmarks, occurrences
        from curate.kernels.lexer import lex
        from curate.kernels.repetition import DOLMA, duplicates, grams, raw_lines
        from curate.kernels.segment import segment
        from curate.kernels.shares import share
        from curate.kernels.word_counts import word_counts

        lexed = lex(text)
        counts, found = dolma(lexed), landmarks(lexed)
        phrases = {"javascript": occurrences(found, JAVASCRIPT), "lorem_ipsum": occurrences(found, LOREM)}
        integers = {"character": lexed.characters, "word": counts["words"], "line": counts["lines"]}
        integers |= {"required_word": counts["required_words"], "curly_bracket": found.braces} | phrases
        ratios = {"median_word_length": counts["median_word_length"]}
        ratios |= {f"{name}_ratio": share(counts[key], counts["words"]) for name, key in WORDS.items()}
        ratios |= {f"{name}_line_ratio": share(counts[key], counts["lines"]) for name, key in LINES.items()}
        *_, again, characters = duplicates(raw_lines(lexed, blank=True))
        ratios["duplicate_line_ratio"] = share(again, counts["lines"])
        ratios["duplicate_line_char_ratio"] = share(characters, word_counts(lexed).characters)
        if self.wants(*(f"dolma_{name}_char_ratio" for name in GRAMS)):
            ratios |= grams(segment(lexed, "whitespace"), lexed.characters, DOLMA)
        made = {f"dolma_{name}": pa.array(values) for name, values in ratios.items()}
        return self.chosen(made | {f"dolma_{name}_count": pa.array(v, pa.int32()) for name, v in integers.items()})
