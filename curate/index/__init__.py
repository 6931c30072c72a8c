"""An index of near-duplicates: made from a finished run, asked in milliseconds, and a thing to go on from."""
