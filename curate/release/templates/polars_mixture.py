"""The mixture of this release as a lazy Polars frame: `mixture("path/to/release")`.

A hash of the id decides which rows of a domain are drawn; the scarcest domain is there whole, and nothing twice.
"""

from pathlib import Path

import polars as pl

FILES = ...
RATES = ...
SEED = ...


def release(folder):
    """All rows of the domains that have a weight."""
    return pl.scan_parquet([Path(folder, path) for files in FILES.values() for path in files])


def mixture(folder):
    """Rows drawn so that the shares of tokens are those of the mixture."""
    rate = pl.col("domain").replace_strict(RATES, return_dtype=pl.Float64)
    return release(folder).filter(pl.col("id").hash(SEED) / 2.0**64 < rate)
