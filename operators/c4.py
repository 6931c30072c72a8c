"""The quantities behind the rules of C4 and mC4 (Raffel et al. 2020, arXiv 1910.10683; Xue et al. 2021)."""

import pyarrow as pa

from curate.family import Family

COUNTS = ("line_count", "sentence_count", "lorem_ipsum_count", "curly_bracket_count", "long_paragraph_count")
RULES = ("no_terminal_mark", "short", "long_word", "javascript", "policy", "kept")


class C4Signals(Family, frozen=True):
    """What C4's rules look at. Lines are those of Python's `splitlines`, stripped; words are those of white space.

    Citations ([1], [], [edit], [citation needed]) are cut before the end and the phrases of a line are looked at.
    Sentences are counted by a rule, not by nltk's punkt: a mark (. ! ? … and those of CJK, Arabic, Devanagari) ends
    one where its line goes on with anything but a lower-case letter; initials, U.S. and seven titles are known, other
    abbreviations are not. Ratios are 0..1; all columns are 0 for an empty document. The paper's rules: curly brackets
    and lorem ipsum 0, sentences at least 5 (the code: 3). mC4: at least 3 long paragraphs.

    signals              names of the columns to write (default: all)
    marks                characters that may end a line (datatrove adds ')
    min_words            a line of fewer words is short (the paper: 3; the code: 5)
    max_word_length      a word of more characters is long
    min_paragraph_chars  characters of a long paragraph

    c4_line_count                    lines
    c4_sentence_count                sentences in the lines that no rule removes
    c4_lorem_ipsum_count             occurrences of "lorem ipsum", in any case of the letters
    c4_curly_bracket_count           occurrences of {
    c4_long_paragraph_count          lines, as line feeds end them, of at least min_paragraph_chars characters
    c4_no_terminal_mark_line_ratio   lines that do not end in a mark, or end in "..."
    c4_short_line_ratio              lines of fewer than min_words words
    c4_long_word_line_ratio          lines with a word of more than max_word_length characters
    c4_javascript_line_ratio         lines with "javascript" in them, in any case of the letters
    c4_policy_line_ratio             lines that name terms of use, a privacy or cookie policy, or use of cookies
    c4_kept_line_ratio               lines that none of these rules removes
    c4_kept_char_ratio               characters of stripped lines that are in such lines

    >>> C4Signals()("Home | News\\nIt rains all day. It is cold.")["c4_sentence_count"]
    2
    """

    columns = (
        {f"c4_{name}": pa.int32() for name in COUNTS}
        | {f"c4_{name}_line_ratio": pa.float64() for name in RULES}
        | {"c4_kept_char_ratio": pa.float64()}
    )

    marks: str = '.?!"'
    min_words: int = 3
    max_word_length: int = 1000
    min_paragraph_chars: int = 200

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        from curate.kernels.c4 import c4, limits
        from curate.kernels.lexer import lex
        from curate.kernels.shares import share

        bounds = limits(self.marks, self.min_words, self.max_word_length, self.min_paragraph_chars)
        counts, _ = c4(lex(text), bounds)
        plural = {"curly_bracket_count": counts["braces"], "lorem_ipsum_count": counts["lorem_ipsum"]}
        plural |= {f"{name}_count": counts[f"{name}s"] for name in ("line", "sentence", "long_paragraph")}
        found = {f"c4_{name}": pa.array(plural[name], pa.int32()) for name in COUNTS}
        found |= {f"c4_{rule}_line_ratio": pa.array(share(counts[rule], counts["lines"])) for rule in RULES}
        return self.chosen(found | {"c4_kept_char_ratio": pa.array(share(counts["kept_chars"], counts["chars"]))})
