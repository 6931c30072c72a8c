"""Mappers that rewrite text by published line rules: C4's, RefinedWeb's, and cc_net's of repeated paragraphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from curate.operator import Mapper, Types

if TYPE_CHECKING:
    import numpy as np

C4_RULES = ("long_word", "no_terminal_mark", "short", "javascript", "policy")
WEB_RULES = ("uppercase", "numeric", "counter", "one_word")


def written(prefix: str, rules: tuple[str, ...]) -> Types:
    """The columns of a mapper of lines."""
    counts = {f"{prefix}_{rule}_count": pa.int32() for rule in rules}
    sizes = {f"{prefix}_chars_before": pa.int32(), f"{prefix}_chars_after": pa.int32()}
    return {"text": pa.string(), **counts, **sizes, f"{prefix}_is_changed": pa.bool_()}


def account(prefix: str, old: pa.Array, new: pa.Array, counts: Mapping[str, np.ndarray]) -> dict[str, pa.Array]:
    """What the mapper writes: the new text, lines removed by rule, characters before and after."""
    made = {f"{prefix}_{rule}_count": pa.array(values, pa.int32()) for rule, values in counts.items()}
    return {
        "text": new,
        **made,
        f"{prefix}_chars_before": pc.utf8_length(old),
        f"{prefix}_chars_after": pc.utf8_length(new),
        f"{prefix}_is_changed": pc.not_equal(old, new),
    }


def edited(
    prefix: str, text: pa.Array, verdicts: np.ndarray, rules: tuple[str, ...], cut: bool = False
) -> dict[str, pa.Array]:
    """What a mapper writes whose rules judge the lexer's lines: bit k of a verdict is that of rules[k]."""
    from curate.kernels import editing
    from curate.kernels.lexer import lex

    lexed = lex(text)
    counts = {rule: editing.removed(verdicts, k, lexed.line_splits) for k, rule in enumerate(rules)}
    return account(prefix, text, editing.join(lexed, editing.raw_pieces(lexed), verdicts, cut=cut), counts)


class C4Lines(Mapper, frozen=True):
    """Keep the lines that C4 keeps (Raffel et al. 2020), without citations; the document is dropped by rules elsewhere.

    Lines are those of Python's `splitlines`, stripped, in the order of the rules below; what is left is joined by line
    feeds. A line that breaks several rules counts for the first. See `c4_signals` for the rules.

    marks            characters that may end a line (datatrove adds '); empty: any character may
    min_words        lines of fewer words are removed (the paper: 3; the code: 5)
    max_word_length  lines with a word of more characters are removed

    text                             the lines that are left
    c4_lines_long_word_count         lines removed for a long word;
    c4_lines_no_terminal_mark_count  for their last character, or for ending in "...";
    c4_lines_short_count             for having few words;
    c4_lines_javascript_count        for naming javascript;
    c4_lines_policy_count            for naming a policy or cookies
    c4_lines_chars_before            code points read
    c4_lines_chars_after             code points left
    c4_lines_is_changed              whether the text differs from what was read

    >>> C4Lines()("Home | News\\nIt rains all day.[1]")["text"]
    'It rains all day.'
    """

    marks: str = '.?!"'
    min_words: int = 3
    max_word_length: int = 1000

    def writes(self) -> Types:
        return written("c4_lines", C4_RULES)

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        from curate.kernels import editing
        from curate.kernels.c4 import NO_MARK, c4, limits
        from curate.kernels.lexer import lex
        from curate.kernels.lines import split_lines

        lexed = lex(text)
        lines = split_lines(lexed)
        _, verdicts = c4(lexed, limits(self.marks, self.min_words, self.max_word_length))
        if not self.marks:
            verdicts &= ~NO_MARK & 0xFF
        new = editing.join(lexed, editing.stripped(lexed, lines), verdicts, cite=True)
        counts = {rule: editing.removed(verdicts, k, lines.splits) for k, rule in enumerate(C4_RULES)}
        return account("c4_lines", text, new, counts)


class RefinedwebLines(Mapper, frozen=True):
    """Edit lines as RefinedWeb does (Penedo et al. 2023), by DCLM's reproduction.

    Lines are split at line feeds; empty ones stay. A line that breaks several rules counts for the first. From lines
    of at most ten words "items in cart", "Read more..." at the end and "Sign-in" at the beginning are cut.

    text                              the lines that are left, without white space at the ends
    refinedweb_lines_uppercase_count  lines removed for having more than half upper case;
    refinedweb_lines_numeric_count    for being nothing but digits;
    refinedweb_lines_counter_count    for being a counter ("3 likes");
    refinedweb_lines_one_word_count   for having at most one word
    refinedweb_lines_cut_count        lines from which boilerplate is cut
    refinedweb_lines_chars_before     code points read
    refinedweb_lines_chars_after      code points left
    refinedweb_lines_is_changed       whether the text differs from what was read

    >>> RefinedwebLines()("HOME\\nIt rains. Read more...\\n3 likes")["text"]
    'It rains.'
    """

    def writes(self) -> Types:
        return written("refinedweb_lines", (*WEB_RULES, "cut"))

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        from curate.kernels.lexer import lex
        from curate.kernels.refinedweb import refinedweb

        return edited("refinedweb_lines", text, refinedweb(lex(text))[1], (*WEB_RULES, "cut"), cut=True)


class CcnetParagraphs(Mapper, frozen=True):
    """Remove blank lines and lines that equal an earlier one of the document, as cc_net does (Wenzek et al. 2020).

    Only the part within a document: cc_net also removes lines that occur anywhere else in a group of shards, which
    needs the corpus. Lines are compared stripped, in lower case, digits as 0, without control characters and its
    Unicode punctuation.

    text                              the lines that are left
    ccnet_paragraphs_blank_count      blank lines removed
    ccnet_paragraphs_duplicate_count  repeated lines removed
    ccnet_paragraphs_chars_before     code points read
    ccnet_paragraphs_chars_after      code points left
    ccnet_paragraphs_is_changed       whether the text differs from what was read

    >>> CcnetParagraphs()("Page 1\\n\\nIt rains.\\npage 2")["text"]
    'Page 1\\nIt rains.'
    """

    def writes(self) -> Types:
        return written("ccnet_paragraphs", ("blank", "duplicate"))

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        from curate.kernels.editing import paragraph_verdicts
        from curate.kernels.lexer import lex

        return edited("ccnet_paragraphs", text, paragraph_verdicts(lex(text)), ("blank", "duplicate"))
