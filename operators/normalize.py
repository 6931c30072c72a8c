"""Clean-up of characters: Unicode normal form (UAX #15), control characters, white space."""

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from curate.operator import Mapper

CONTROL = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F\x{80}-\x{9F}\x{FEFF}]"
TRIM = ((r"\r\n?", "\n"), (r"[ \t]+\n", "\n"), (r"\n{3,}", "\n\n"), (r"^\s+|\s+$", ""))
COLLAPSE = ((r"[\p{Zs}\t]+", " "), (r" ?\n ?", "\n"))


class Normalize(Mapper, frozen=True):
    """Bring text to one Unicode form, remove control characters and tidy white space; say how much changed.

    form         Unicode normal form, or `keep`
    control      remove control characters (all of Cc but tab and line ends, and byte order marks), or keep them
    whitespace   trim: LF line ends, no trailing spaces, at most one blank line, none at the ends;
                 collapse: also one space for any run of spaces; keep: as it is

    text                        the document in its new form
    normalize_is_changed        whether the text differs from what was read
    normalize_removed_chars     code points before minus after (negative when a form expands characters)

    >>> Normalize()("caf\\u0065\\u0301  \\r\\n\\x07")["text"]
    'café'
    """

    form: Literal["NFC", "NFKC", "NFD", "NFKD", "keep"] = "NFC"
    control: Literal["remove", "keep"] = "remove"
    whitespace: Literal["trim", "collapse", "keep"] = "trim"

    def writes(self) -> dict[str, pa.DataType]:
        return {"text": pa.string(), "normalize_is_changed": pa.bool_(), "normalize_removed_chars": pa.int32()}

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        new = text
        if self.control == "remove":
            new = pc.replace_substring_regex(new, CONTROL, "")
        if self.form != "keep":
            new = pc.utf8_normalize(new, self.form)
        rules = {"keep": (), "trim": TRIM, "collapse": COLLAPSE + TRIM}[self.whitespace]
        for pattern, replacement in rules:
            new = pc.replace_substring_regex(new, pattern, replacement)
        removed = pc.subtract(pc.utf8_length(text), pc.utf8_length(new))
        return {
            "text": new,
            "normalize_is_changed": pc.not_equal(text, new),
            "normalize_removed_chars": removed.cast(pa.int32()),
        }
