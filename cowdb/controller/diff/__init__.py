"""Compares databases over plain connections, without any privilege on the host.

`compare.compare` is the way in. `catalog` reads what a database is made of, `schema` and `counts`
compare it; comparing rows and changed blocks will stand beside them. Nothing is imported here, so
that rendering a report does not pay for loading psycopg.
"""
