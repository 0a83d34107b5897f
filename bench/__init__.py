"""What cowdb costs beside what a user would use instead: `python -m bench SCENARIO`.

A scenario is a package in bench/scenarios; it measures cowdb and its peers in one run and hands
back JSON, from which the table, the page in docs/bench and the picture are made.
"""
