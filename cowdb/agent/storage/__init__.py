"""Copy-on-write volumes: one Protocol, one file for each filesystem."""
