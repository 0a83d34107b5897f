"""`python bench/lab.py`: the same as `python -m bench lab`."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # where `bench` is found
    from bench.__main__ import main

    sys.exit(main(["lab", *sys.argv[1:]]))
