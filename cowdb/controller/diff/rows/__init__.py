"""Which rows differ: found by checksums of buckets, or only where blocks have changed."""
