"""Databases that cowdb can run: one folder for each."""
