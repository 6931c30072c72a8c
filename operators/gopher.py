"""Gopher's document statistics (Rae et al. 2021, appendix A1): quality and repetition."""

import pyarrow as pa

from curate.family import Family

COUNTS = ("word_count", "stop_word_count")
RATIOS = (
    "mean_word_length",
    "hash_word_ratio",
    "ellipsis_word_ratio",
    "bullet_line_ratio",
    "ellipsis_line_ratio",
    "alpha_word_ratio",
    "duplicate_line_ratio",
    "duplicate_line_char_ratio",
    "duplicate_paragraph_ratio",
    "duplicate_paragraph_char_ratio",
    *(f"top_{n}gram_char_ratio" for n in range(2, 5)),
    *(f"duplicate_{n}gram_char_ratio" for n in range(5, 11)),
)


class Gopher(Family, frozen=True):
    """Statistics behind Gopher's quality and repetition rules, over white-space separated words.

    All ratios are 0..1 (word and symbol ratios may exceed 1) and 0 for a document without words.

    signals   names of the columns to write (default: all)

    gopher_word_count                        words
    gopher_stop_word_count                   how many of the, be, to, of, and, that, have, with occur (0..8)
    gopher_mean_word_length                  code points per word
    gopher_hash_word_ratio                   '#' characters per word
    gopher_ellipsis_word_ratio               '...' and '…' per word
    gopher_bullet_line_ratio                 non-empty lines that begin with a bullet
    gopher_ellipsis_line_ratio               non-empty lines that end with an ellipsis
    gopher_alpha_word_ratio                  words with at least one alphabetic character
    gopher_duplicate_line_ratio              lines seen before in the document
    gopher_duplicate_line_char_ratio         characters in them
    gopher_duplicate_paragraph_ratio         paragraphs seen before in the document
    gopher_duplicate_paragraph_char_ratio    characters in them
    gopher_top_2gram_char_ratio              characters in the most frequent 2-gram of words;
    gopher_top_3gram_char_ratio              the same for 3-grams
    gopher_top_4gram_char_ratio              and 4-grams
    gopher_duplicate_5gram_char_ratio        characters covered by 5-grams of words that occur twice or more;
    gopher_duplicate_6gram_char_ratio        the same for 6-grams,
    gopher_duplicate_7gram_char_ratio        7-grams,
    gopher_duplicate_8gram_char_ratio        8-grams,
    gopher_duplicate_9gram_char_ratio        9-grams
    gopher_duplicate_10gram_char_ratio       and 10-grams

    >>> Gopher()("the cat sat with the dog")["gopher_stop_word_count"]
    2
    """

    columns = {f"gopher_{name}": pa.int32() for name in COUNTS} | {f"gopher_{name}": pa.float64() for name in RATIOS}

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        from curate.kernels.gopher import gopher
        from curate.kernels.lexer import lex

        values = gopher(lex(text))
        return self.chosen({f"gopher_{name}": pa.array(values[name]) for name in COUNTS + RATIOS})
