"""The tools: each a function of a Call and its arguments, thin over cowdb.controller."""
