"""The quantities behind RefinedWeb's rules (Penedo et al. 2023, arXiv 2306.01116) as DCLM reproduces them."""

from typing import Literal

import pyarrow as pa

from curate.family import Family

RULES = ("uppercase", "numeric", "counter", "one_word", "boilerplate", "kept")
PIECES = ("duplicate_line", "duplicate_line_char", "duplicate_paragraph", "duplicate_paragraph_char")
GRAMS = (*(f"top_{n}gram" for n in (2, 3, 4)), *(f"duplicate_{n}gram" for n in range(5, 11)))
OTHERS = ("symbol_word", "alpha_word", "bullet_line", "ellipsis_line", "removed_word")


class RefinedwebSignals(Family, frozen=True):
    """RefinedWeb's line rules and DCLM's counts. Words are those of white space, lines are split at line feeds.

    Duplicates are all occurrences of what repeats, the first included; lines and paragraphs are stripped and not
    empty. DCLM finds the words of n-grams with uniseg and counts those whose first character is a letter or digit:
    `unicode` is near it, without its joining of words at apostrophes. Ratios are 0..1 (symbols per word: 0 and more);
    all columns are 0 for an empty document.

    signals   names of the columns to write (default: all)
    words     how the words of n-grams are found: unicode, whitespace, wordpunct or characters

    refinedweb_word_count                      words
    refinedweb_stop_word_count                 occurrences of the, be, to, of, and, that, have, with, in any case
    refinedweb_mean_word_length                characters per word
    refinedweb_symbol_word_ratio               #, "...", ". . ." and "…" per word
    refinedweb_alpha_word_ratio                words with a letter
    refinedweb_bullet_line_ratio               lines, blank ones aside, that begin with ● • * or -
    refinedweb_ellipsis_line_ratio             lines, blank ones aside, that end with "...", ". . ." or "…"
    refinedweb_removed_word_ratio              words in the lines that the rules remove (DCLM: at most 0.05)
    refinedweb_uppercase_line_ratio            lines, empty ones aside, with more than half upper case;
    refinedweb_numeric_line_ratio              of nothing but digits;
    refinedweb_counter_line_ratio              that are a counter ("3 likes");
    refinedweb_one_word_line_ratio             of at most one word;
    refinedweb_boilerplate_line_ratio          of at most ten words with "items in cart", "Read more..." or "Sign-in";
    refinedweb_kept_line_ratio                 that the first four of these rules keep
    refinedweb_duplicate_line_ratio            lines that occur twice or more
    refinedweb_duplicate_line_char_ratio       characters in them
    refinedweb_duplicate_paragraph_ratio       paragraphs, split at empty lines, that occur twice or more
    refinedweb_duplicate_paragraph_char_ratio  characters in them
    refinedweb_top_2gram_char_ratio            longest of the most frequent 2-grams times its occurrences, of the words'
                                               characters (0 if none repeats);
    refinedweb_top_3gram_char_ratio            the same for 3-grams
    refinedweb_top_4gram_char_ratio            and 4-grams
    refinedweb_duplicate_5gram_char_ratio      characters of words in 5-grams that occur twice or more;
    refinedweb_duplicate_6gram_char_ratio      the same for 6-grams,
    refinedweb_duplicate_7gram_char_ratio      7-grams,
    refinedweb_duplicate_8gram_char_ratio      8-grams,
    refinedweb_duplicate_9gram_char_ratio      9-grams
    refinedweb_duplicate_10gram_char_ratio     and 10-grams

    >>> RefinedwebSignals()("It rains.\\n3 likes")["refinedweb_removed_word_ratio"]
    0.5
    """

    columns = (
        {"refinedweb_word_count": pa.int32(), "refinedweb_stop_word_count": pa.int32()}
        | {"refinedweb_mean_word_length": pa.float64()}
        | {f"refinedweb_{name}_ratio": pa.float64() for name in OTHERS}
        | {f"refinedweb_{name}_line_ratio": pa.float64() for name in RULES}
        | {f"refinedweb_{name}_ratio": pa.float64() for name in PIECES}
        | {f"refinedweb_{name}_char_ratio": pa.float64() for name in GRAMS}
    )

    words: Literal["unicode", "whitespace", "wordpunct", "characters"] = "unicode"

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        import numpy as np

        from curate.kernels.lexer import lex
        from curate.kernels.refinedweb import refinedweb
        from curate.kernels.repetition import DCLM, duplicates, grams, paragraphs, stripped_lines
        from curate.kernels.segment import segment
        from curate.kernels.shares import share
        from curate.kernels.word_counts import word_counts

        lexed = lex(text)
        counts, _ = refinedweb(lexed)
        words = np.diff(lexed.word_splits)
        parts = {"symbol_word": "symbols", "alpha_word": "alpha_words", "removed_word": "removed_words"}
        ratios = {f"{name}_ratio": share(counts[key], words) for name, key in parts.items()}
        for name, key in (("bullet_line", "bullets"), ("ellipsis_line", "ellipses")):
            ratios[f"{name}_ratio"] = share(counts[key], counts["full"])
        ratios |= {f"{rule}_line_ratio": share(counts[rule], counts["lines"]) for rule in RULES}
        for name, block in (("line", stripped_lines(lexed)), ("paragraph", paragraphs(lexed, strip=True))):
            pieces, characters, _, _, again, again_characters = duplicates(block)
            ratios[f"duplicate_{name}_ratio"] = share(again, pieces)
            ratios[f"duplicate_{name}_char_ratio"] = share(again_characters, characters)
        if self.wants(*(f"refinedweb_{name}_char_ratio" for name in GRAMS)):
            ratios |= grams(segment(lexed, self.words), lexed.characters, DCLM)
        ratios["mean_word_length"] = share(word_counts(lexed).characters, words)
        made = {f"refinedweb_{name}": pa.array(values) for name, values in ratios.items()}
        integers = {"word_count": words, "stop_word_count": counts["stop_words"]}
        return self.chosen(made | {f"refinedweb_{name}": pa.array(v, pa.int32()) for name, v in integers.items()})
