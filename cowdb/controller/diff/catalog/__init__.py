"""Reads what a database is made of from its catalogs: each object, property by property.

A kind of object is one `Query`; a new kind is one more entry in one of the tables of queries.
`reader.read_schema` runs them all, `unmodelled.read_notes` names what none of them covers.
"""
