"""`python -m cowdb`."""

from cowdb.cli import main

main()
