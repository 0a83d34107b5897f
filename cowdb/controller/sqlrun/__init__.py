"""SQL on a branch, statement by statement, as its owner: bounded in time, rows handed on as they
come. Never on a source and never on a URL: see `branch.py`."""
