"""One task at a time: a shard through a pass, a group of shards to files. `local` and `ray` map tasks over workers."""
