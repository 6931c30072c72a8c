"""The mixture of this release as a Ray dataset: `mixture("path/to/release")`.

Of each domain a share of the rows is drawn; the scarcest domain is there whole, and nothing twice.
"""

from pathlib import Path

import ray

FILES = ...
RATES = ...
SEED = ...


def mixture(folder, columns=None):
    """Rows of all domains, one domain after the other; `.random_shuffle()` or `.mix()` as you train."""
    parts = []
    for name, files in FILES.items():
        rows = ray.data.read_parquet([str(Path(folder, path)) for path in files])
        rows = rows.select_columns(columns) if columns else rows
        parts.append(rows if RATES[name] >= 1 else rows.random_sample(RATES[name], seed=SEED))
    return parts[0].union(*parts[1:]) if len(parts) > 1 else parts[0]
