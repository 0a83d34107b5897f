"""`python -S -E timed.py RESULT PROGRAM [ARGUMENT...]`: run a program, note its time and memory.

A process of its own, and a small one: on Linux the peak memory of a child begins with what the
parent had when it was forked.
"""

import json
import os
import sys
import time

if __name__ == "__main__":
    result, *words = sys.argv[1:]
    begun = time.perf_counter()
    child = os.posix_spawnp(words[0], words, os.environ)
    _, status, usage = os.wait4(child, 0)
    took = (time.perf_counter() - begun) * 1000
    with open(result, "w") as file:
        json.dump({"ms": took, "peak": usage.ru_maxrss * 1024,
                   "status": os.waitstatus_to_exitcode(status)}, file)  # fmt: skip
