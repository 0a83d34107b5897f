"""The use cases, one module for each noun; each composes plans and runs them as operations."""
