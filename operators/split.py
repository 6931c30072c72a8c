"""Documents into smaller documents."""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.operator import Expander

MARK = {"paragraphs": r"\n\s*\n", "lines": r"\n"}


class Split(Expander, frozen=True):
    """Split documents into their paragraphs or lines; each piece becomes a document with a reference to its parent.

    Pieces carry the parent's other columns and start anew: columns made before the split are null for them.
    The parent stays in the annotations, dropped by `split`.

    by          paragraphs (separated by blank lines) or lines
    min_chars   shorter pieces (code points, white space trimmed) are left out; 1 leaves out only empty ones

    text        the piece
    parent_id   id of the document it is from; the piece's own id is parent_id#number

    >>> parents, columns = Split().expand(pa.array(["One.\\n\\nTwo.", "Three."]))
    >>> parents.tolist(), columns["text"].to_pylist()
    ([0, 0, 1], ['One.', 'Two.', 'Three.'])
    """

    by: Literal["paragraphs", "lines"] = "paragraphs"
    min_chars: int = 1

    def expand(self, text: pa.StringArray) -> tuple[np.ndarray, dict[str, pa.Array]]:
        pieces = pc.split_pattern_regex(text, MARK[self.by])
        parents, flat = pc.list_parent_indices(pieces), pc.utf8_trim_whitespace(pieces.flatten())
        long = pc.greater_equal(pc.utf8_length(flat), self.min_chars)
        return parents.filter(long).to_numpy(), {"text": flat.filter(long)}
