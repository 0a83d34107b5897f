"""The migration lab: several ways to change a database, tried on branches of one snapshot.

spec/    what a user asks for: a YAML file, validated
model    what is found out: the shape of `cowdb lab run --json`
"""
