"""The quality signals of RedPajama-V2 (Weber et al. 2024, arXiv 2411.12372), under their published names."""

import functools
import itertools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import assets
from curate.errors import PlanError, nearest
from curate.family import Family
from curate.operator import Columns, Types

if TYPE_CHECKING:
    from curate.kernels.lexer import Lexed
    from curate.kernels.phrases import Phrases

TOP, DUPE = (2, 3, 4), (5, 6, 7, 8, 9, 10)
COUNTS = ("rps_doc_word_count", "rps_doc_num_sentences")
RATIOS = (
    "rps_doc_curly_bracket",
    "rps_doc_lorem_ipsum",
    "rps_doc_mean_word_length",
    "rps_doc_symbol_to_word_ratio",
    "rps_doc_frac_lines_end_with_ellipsis",
    "rps_doc_frac_no_alph_words",
    "redpajama_no_alpha_word_ratio",
    "rps_doc_frac_all_caps_words",
    "rps_doc_frac_unique_words",
    "rps_doc_unigram_entropy",
)
GRAMS = (
    *(f"rps_doc_frac_chars_top_{n}gram" for n in TOP),
    *(f"redpajama_top_{n}gram_char_ratio" for n in TOP),
    *(f"rps_doc_frac_chars_dupe_{n}grams" for n in DUPE),
)
LINE_COUNTS = {
    "rps_lines_start": "start",
    "rps_lines_end": "end",
    "rps_lines_ending_with_terminal_punctution_mark": "terminal_marks",
    "rps_lines_start_with_bulletpoint": "bulletpoints",
    "rps_lines_javascript_counts": "javascript",
    "rps_lines_num_words": "words",
}
LINE_RATIOS = ("rps_lines_numerical_chars_fraction", "rps_lines_uppercase_letter_fraction")
LINES = (*LINE_COUNTS, *LINE_RATIOS)
STOP_WORDS = ("rps_doc_stop_word_fraction", "redpajama_stop_word_ratio")
BAD_WORDS = ("rps_doc_ldnoobw_words", "redpajama_bad_word_count")
UT1 = ("rps_doc_ut1_blacklist",)
NEEDS = {"stop_words": STOP_WORDS, "bad_words": BAD_WORDS, "ut1": UT1}  # parameter -> columns it makes possible
TOKENS = (
    "rps_doc_symbol_to_word_ratio",
    "rps_doc_frac_no_alph_words",
    "redpajama_no_alpha_word_ratio",
    "rps_doc_frac_all_caps_words",
    *STOP_WORDS,
)

# The categories whose sets RedPajama-V2 numbers. In UT1 two folders are links; `agressive` is a slip and names none.
CATEGORIES = [
    "adult",
    "agressif",
    "agressive",
    "arjel",
    "chat",
    "dating",
    "ddos",
    "filehosting",
    "gambling",
    "mixed_adult",
    "phishing",
    "porn",
    "violence",
]
LINKS = {"porn": "adult", "violence": "agressif"}
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9-]+)?")
HOST = r"^[\x00-\x20]*(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?P<host>[^/?#]*)"


class RedpajamaSignals(Family, frozen=True):
    """RedPajama-V2's 29 rule signals, value for value, and mended forms of some under names of their own.

    Words are normalised: ASCII punctuation dropped, lower case, NFD, white space between. Raw words are the matches of
    `\\w+|[^\\w\\s]+` in the text as it is, punctuation too. Lines end at line feeds, blank ones count. Columns of
    lists have one value a line, none for an empty text. Counts and flags are whole numbers (published as 3.0).

    signals      names of the columns to write (default: all whose lists are given)
    stop_words   stop words by language: a JSON object, a folder with a file (`en`, `en.txt`) for each, or an asset
                 (stopwords-json)
    bad_words    obscene words and phrases by language, likewise (ldnoobw)
    ut1          UT1's folder (category/domains) or asset (ut1), or a JSON object of ids by domain; reads `url`
    language     language of every document (ISO 639); default: that in the column `language`, when a list is given
    digits       decimals that ratios are rounded to, as published; null: not at all

    rps_doc_word_count                    words
    rps_doc_num_sentences                 matches of `\\b[^.!?]+[.!?]*`
    rps_doc_mean_word_length              code points per word; null without words
    rps_doc_frac_unique_words             distinct words per word, 0..1; null without words
    rps_doc_unigram_entropy               entropy of the words, in nats; null without words
    rps_doc_symbol_to_word_ratio          '#', '...' and '…' per raw word (0 and more); null without words
    rps_doc_frac_no_alph_words            raw words without one of a-z and A-Z, 0..1; null without words
    redpajama_no_alpha_word_ratio         the same with the letters of every script, 0..1
    rps_doc_frac_all_caps_words           raw words in upper case, 0..1; null without words
    rps_doc_frac_lines_end_with_ellipsis  lines that end with an ellipsis, 0..1; null without lines
    rps_doc_curly_bracket                 { and } per code point, 0..1; 0 for an empty text
    rps_doc_lorem_ipsum                   occurrences of "lorem ipsum" per code point of the normalised text; 0 without
    rps_doc_frac_chars_top_2gram          code points of the most frequent 2-gram, times its occurrences, per code point
                                          of the words (0 unless it repeats; above 1 where it overlaps itself)
    rps_doc_frac_chars_top_3gram          the same for 3-grams
    rps_doc_frac_chars_top_4gram          and 4-grams
    redpajama_top_2gram_char_ratio        the published share of the top 2-gram, but at most 1 (0..1);
    redpajama_top_3gram_char_ratio        the same for 3-grams
    redpajama_top_4gram_char_ratio        and 4-grams
    rps_doc_frac_chars_dupe_5grams        code points of words in 5-grams that occur twice or more, 0..1;
    rps_doc_frac_chars_dupe_6grams        the same for 6-grams,
    rps_doc_frac_chars_dupe_7grams        7-grams,
    rps_doc_frac_chars_dupe_8grams        8-grams,
    rps_doc_frac_chars_dupe_9grams        9-grams
    rps_doc_frac_chars_dupe_10grams       and 10-grams
    rps_doc_stop_word_fraction            raw words that are in the list, 0..1, the case of letters counts; 0 without
                                          words, null without a list for the language
    redpajama_stop_word_ratio             the same whatever the case and the composition of accents, 0..1
    rps_doc_ldnoobw_words                 occurrences of phrases of the list as it is written (entries with capitals,
                                          punctuation or composed accents never match); 0 without a list
    redpajama_bad_word_count              the same with entries normalised as words are; null without a list
    rps_doc_ut1_blacklist                 id 0..8190 of the set of categories that hold the host, null for none; the
                                          host must be listed as it is, with its port and `www.`
    rps_lines_start                       where each line begins, in code points
    rps_lines_end                         where it ends, after its line feed
    rps_lines_ending_with_terminal_punctution_mark   1 for lines that end with . ! ? or ” (0..1)
    rps_lines_start_with_bulletpoint      1 for lines that begin with one of ten bullets (0..1)
    rps_lines_javascript_counts           words of the line that are "javascript"
    rps_lines_num_words                   words of the line
    rps_lines_numerical_chars_fraction    digits and other numbers per code point of the normalised line, 0..1
    rps_lines_uppercase_letter_fraction   upper-case letters per code point of the line, 0..1

    Raises ValueError for a column whose list is not given, PlanError for a list that is not there or has no such
    language. fastText and importance scores are not rules and not here; ccnet_* columns of a source stay as they are.

    >>> RedpajamaSignals(signals=["rps_lines_num_words"])("Do it.\\n\\n- Do it well!")
    {'rps_lines_num_words': [2, 0, 3]}
    """

    columns: ClassVar[Mapping[str, pa.DataType]] = {
        **dict.fromkeys(COUNTS, pa.int32()),
        **dict.fromkeys((*RATIOS, *GRAMS, *STOP_WORDS), pa.float64()),
        **dict.fromkeys((*BAD_WORDS, *UT1), pa.int32()),
        **dict.fromkeys(LINE_COUNTS, pa.list_(pa.int32())),
        **dict.fromkeys(LINE_RATIOS, pa.list_(pa.float64())),
    }
    sees_nulls: ClassVar[bool] = True  # without a language or an address the rest is still measured
    example: ClassVar[dict[str, Any]] = {"stop_words": "stopwords-json", "bad_words": "ldnoobw", "ut1": "ut1"}

    stop_words: str | None = None
    bad_words: str | None = None
    ut1: str | None = None
    language: str | None = None
    digits: int | None = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        for parameter, names in NEEDS.items():
            asked = [name for name in names if name in self.signals]
            if asked and getattr(self, parameter) is None:
                raise ValueError(f"{asked[0]} needs a list: give the parameter {parameter}")
        if self.digits is not None and not 0 <= self.digits <= 11:
            raise ValueError(f"digits is from 0 to 11, or null, not {self.digits}")

    def writes(self) -> Types:
        missing = {name for parameter, names in NEEDS.items() if getattr(self, parameter) is None for name in names}
        return {name: kind for name, kind in super().writes().items() if name not in missing}

    def wants(self, *names: str) -> bool:
        return not self.writes().keys().isdisjoint(names)

    def reads(self) -> dict[str, pa.DataType | None]:
        of_row = {"language": self.wants(*STOP_WORDS, *BAD_WORDS) and self.language is None, "url": self.wants(*UT1)}
        return {name: pa.string() for name in ("text", *(name for name, wanted in of_row.items() if wanted))}

    def files(self) -> tuple[str, ...]:
        lists = [path for path in (self.stop_words, self.bad_words) if path]
        found = [file for path in lists for file in list_files(path)]
        return (*found, *(category_files(self.ut1) if self.ut1 else ()))

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        for parameter in ("stop_words", "bad_words"):
            path = getattr(self, parameter)
            known = word_lists(path) if path else {}
            if path and self.language is not None and self.language not in known:
                near = nearest(self.language, known)
                raise PlanError(f"{self.name()}: `{parameter}` has no list for {self.language!r}{near}")
        if self.ut1:
            category_ids(self.ut1)

    def compute(
        self, text: pa.StringArray, language: pa.StringArray | None = None, url: pa.StringArray | None = None
    ) -> Columns:
        from curate.kernels.lexer import lex

        lexed = lex(text)
        made = {**self._documents(lexed, language), **self._tokens(lexed, language), **self._lines(lexed)}
        if url is not None and self.ut1:
            made["rps_doc_ut1_blacklist"] = category_of(url, category_ids(self.ut1))
        if text.null_count:
            made = {
                name: pc.if_else(text.is_valid(), array, pa.scalar(None, array.type)) for name, array in made.items()
            }
        return self.chosen(made)

    def _documents(self, lexed: "Lexed", language: pa.Array | None) -> Columns:
        """What is counted in normalised words, and curly brackets."""
        from curate.kernels.redpajama import BadWords, count_document

        rows, lists = self._lists(self.bad_words if self.wants(*BAD_WORDS) else None, lexed, language)
        count, entropy = count_document(lexed, BadWords(lists, rows), self.wants(*GRAMS))
        words, characters = count["words"], count["characters"]
        made = {
            "rps_doc_word_count": whole(words),
            "rps_doc_num_sentences": whole(lexed.sentences),
            "rps_doc_curly_bracket": self._ratio(count["curly_brackets"], lexed.characters, 0.0),
            "rps_doc_lorem_ipsum": self._ratio(count["lorem_ipsum"], characters + np.maximum(words - 1, 0), 0.0),
            "rps_doc_mean_word_length": self._ratio(characters, words),
            "rps_doc_frac_unique_words": self._ratio(count["distinct"], words),
            "rps_doc_unigram_entropy": self._rounded(entropy, words == 0),
            "rps_doc_ldnoobw_words": whole(count["bad_words"]),
            "redpajama_bad_word_count": whole(count["folded_bad_words"], rows < 0),
        }
        for n in TOP:
            top = count[f"top_{n}gram"]
            made[f"rps_doc_frac_chars_top_{n}gram"] = self._ratio(top, characters, 0.0)
            made[f"redpajama_top_{n}gram_char_ratio"] = self._ratio(np.minimum(top, characters), characters, 0.0)
        for n in DUPE:
            made[f"rps_doc_frac_chars_dupe_{n}grams"] = self._ratio(count[f"dupe_{n}grams"], characters, 0.0)
        return made

    def _tokens(self, lexed: "Lexed", language: pa.Array | None) -> Columns:
        """What is counted in raw words."""
        from curate.kernels.wordpunct import count_tokens

        if not self.wants(*TOKENS):
            return {}
        rows, lists = self._lists(self.stop_words if self.wants(*STOP_WORDS) else None, lexed, language)
        tokens, upper, latin, alpha, stops, folded_stops = count_tokens(lexed, rows, lists)
        return {
            "rps_doc_symbol_to_word_ratio": self._ratio(lexed.number_signs + lexed.ellipses, tokens),
            "rps_doc_frac_no_alph_words": self._ratio(latin, tokens, is_rest=True),
            "redpajama_no_alpha_word_ratio": self._ratio(alpha, tokens, is_rest=True),
            "rps_doc_frac_all_caps_words": self._ratio(upper, tokens),
            "rps_doc_stop_word_fraction": self._ratio(stops, tokens, 0.0, rows < 0),
            "redpajama_stop_word_ratio": self._ratio(folded_stops, tokens, 0.0, rows < 0),
        }

    def _lines(self, lexed: "Lexed") -> Columns:
        """What is measured of each line."""
        from curate.kernels.redpajama import count_lines

        splits = lexed.line_splits
        ellipses = np.concatenate([[0], np.cumsum(lexed.lines.has_ellipsis)])[splits]
        made = {"rps_doc_frac_lines_end_with_ellipsis": self._ratio(np.diff(ellipses), np.diff(splits))}
        if not self.wants(*LINES):
            return made
        lines = count_lines(lexed)
        values = {name: pa.array(getattr(lines, field)) for name, field in LINE_COUNTS.items()}
        numeric, upper = LINE_RATIOS
        values[numeric] = self._ratio(lines.numeric, lines.characters, 0.0)
        values[upper] = self._ratio(lines.upper, lines.end - lines.start, 0.0)
        at = pa.array(splits.astype(np.int32))
        return made | {name: pa.ListArray.from_arrays(at, array) for name, array in values.items()}

    def _lists(self, path: str | None, lexed: "Lexed", language: pa.Array | None) -> "tuple[np.ndarray, Phrases]":
        """Which list each document uses (-1: none), and the lists."""
        from curate.kernels.phrases import NO_LIST

        lists = word_lists(path) if path else {}
        if language is None:
            row = {name: at for at, name in enumerate(lists)}.get(self.language or "", NO_LIST)
            rows = np.full(len(lexed.offsets) - 1, row, np.int64)
        else:
            found = pc.index_in(language, pa.array([*lists], pa.string())).fill_null(NO_LIST)
            rows = found.to_numpy().astype(np.int64)
        return rows, phrase_table(path)

    def _ratio(
        self,
        part: np.ndarray,
        of: np.ndarray,
        otherwise: float | None = None,
        unknown: np.ndarray | None = None,
        is_rest: bool = False,
    ) -> pa.Array:
        """part / of, or 1 - part / of; where there is nothing to divide by `otherwise`, and null where `unknown`."""
        share = np.divide(part, of, out=np.full(len(of), otherwise or 0.0), where=of != 0)
        nothing = of == 0 if otherwise is None else None
        return self._rounded(1.0 - share if is_rest else share, nothing if unknown is None else unknown)

    def _rounded(self, values: np.ndarray, null: np.ndarray | None) -> pa.Array:
        from curate.kernels.rounding import rounded

        return pa.array(values if self.digits is None else rounded(values, self.digits), mask=null)


def whole(values: np.ndarray, null: np.ndarray | None = None) -> pa.Array:
    """Counts as a column."""
    return pa.array(values.astype(np.int32), mask=null)


# ---------------------------------------------------------------- lists


def list_files(path: str) -> tuple[str, ...]:
    """The files of word lists by language: one, or those of a folder that are called after a language."""
    place = assets.locate(path)
    if not place.is_dir():
        return (str(place),)
    found = sorted(str(file) for file in place.iterdir() if file.is_file() and LANGUAGE.fullmatch(_language(file)))
    if found:
        return (*found,)
    raise PlanError(f"redpajama_signals: no file in {path} is called after a language (en, en.txt)")


def _language(file: Path) -> str:
    return file.name.removesuffix(".txt")


def word_lists(path: str) -> Mapping[str, tuple[str, ...]]:
    """The words of each language. Raises PlanError for a file that is not what it should be."""
    return _word_lists(_state(list_files(path)))


def phrase_table(path: str | None) -> "Phrases":
    """The lists, ready to be looked up; without a path none."""
    return _phrase_table(_state(list_files(path)) if path else ())


State = tuple[tuple[str, int], ...]  # files, and when they were written


def _state(files: tuple[str, ...]) -> State:
    return tuple((file, os.stat(file).st_mtime_ns) for file in files)


@functools.lru_cache(maxsize=8)
def _word_lists(state: State) -> Mapping[str, tuple[str, ...]]:
    files = [Path(name) for name, _ in state]
    try:
        if len(files) == 1 and files[0].suffix == ".json":
            return msgspec.json.decode(files[0].read_bytes(), type=dict[str, tuple[str, ...]])
        texts = {_language(file): file.read_text(encoding="utf-8") for file in files}
        return {language: tuple(map(str.strip, text.split("\n"))) for language, text in texts.items()}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what = "a JSON object of lists of words by language, or UTF-8 text"
        raise PlanError(f"redpajama_signals: {files[0]} is not {what}: {error}") from error


@functools.lru_cache(maxsize=8)
def _phrase_table(state: State) -> "Phrases":
    from curate.kernels.phrases import phrases

    return phrases(_word_lists(state) if state else {})


# ---------------------------------------------------------------- UT1


def category_files(path: str) -> tuple[str, ...]:
    """The files of UT1's folder that count, or the JSON file."""
    place = assets.locate(path)
    if not place.is_dir():
        return (str(place),)
    found = [place / name / "domains" for name in CATEGORIES]
    if files := tuple(str(file) for file in found if file.is_file()):
        return files
    raise PlanError(f"redpajama_signals: {path} has none of UT1's categories, such as gambling/domains")


def category_ids(path: str) -> Mapping[str, int]:
    """The published id of the set of categories of each domain."""
    return _category_ids(_state(category_files(path)))


@functools.lru_cache(maxsize=2)
def _category_ids(state: State) -> Mapping[str, int]:
    files = [Path(name) for name, _ in state]
    if files[0].name != "domains":
        try:
            return msgspec.json.decode(files[0].read_bytes(), type=dict[str, int])
        except msgspec.DecodeError as error:
            raise PlanError(f"redpajama_signals: {files[0]} is no JSON object of ids by domain: {error}") from error
    domains = {file.parent.name: file.read_text(encoding="utf-8").split() for file in files}
    domains |= {link: domains[name] for link, name in LINKS.items() if name in domains}
    sets: dict[str, tuple[str, ...]] = {}
    for category in sorted(domains):
        for domain in {*domains[category]}:
            sets[domain] = (*sets.get(domain, ()), category)
    return {domain: set_ids()[categories] for domain, categories in sets.items()}


@functools.cache
def set_ids() -> Mapping[tuple[str, ...], int]:
    """The ids of the sets of categories: all of one, of two, ... in alphabetical order.

    >>> set_ids()["adult", "porn"]
    23
    """
    sets = (chosen for size in range(1, len(CATEGORIES) + 1) for chosen in itertools.combinations(CATEGORIES, size))
    return {chosen: at for at, chosen in enumerate(sets)}


def category_of(url: pa.Array, ids: Mapping[str, int]) -> pa.Array:
    """The id of each address's host (Python's `urlsplit(url).netloc`), null for none. Each host is seen once."""
    clean = pc.replace_substring_regex(url, "[\t\r\n]", "")
    hosts = pc.struct_field(pc.extract_regex(clean, HOST), "host").dictionary_encode()
    own = pa.array([ids.get(host) for host in hosts.dictionary.to_pylist()], pa.int32())
    return own.take(hosts.indices)
