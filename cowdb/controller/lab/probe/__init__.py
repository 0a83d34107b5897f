"""Watches a branch while a strategy runs: the server's log, event triggers, samples of its locks,
facts before and after. What these bring is merged by pure functions (statements.py, locks.py)."""
