"""cowdb for coding assistants: an MCP server over the controller (docs/mcp.md).

    cli/mcp.py -> server.py   which tools there are, and what they promise (annotations)
                  http.py     the same on loopback, behind a token
                  tools/      one call each, thin over cowdb.controller
                  calling.py  a plain function as a tool: errors, progress, cancellation
                  answers.py  the shapes of what tools return
                  bounds.py   answers cut to what a model can read (pure)
                  results.py  what was cut, kept for who asks for the rest

It runs as its user and asks the agent as that user: it can do no more. The package `mcp` is an
optional dependency (cowdb[mcp]); nothing outside this package imports it.
"""
