"""Input and output: sources and their shards, readers of each format, the Parquet writer."""
