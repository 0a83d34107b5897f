"""`python bench/diff.py`: the same as `python -m bench diff`."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # where `bench` is found
    from bench.__main__ import main

    sys.exit(main(["diff", *sys.argv[1:]]))
