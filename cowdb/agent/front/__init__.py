"""The front: a small unprivileged process that holds the ports of branches that may sleep.

    client --> 127.0.0.1:PORT (the front's, always open) --> 127.0.0.2:PORT (the server's)

While the server runs, bytes are passed on; while it does not, a connection waits, and the agent is
told that somebody has knocked. The process outlives the agent, as servers do.

    startup    what a Postgres client says first, and how it is refused; pure
    poller     events on file descriptors and points in time, in one thread
    relay      bytes both ways between a client and a server
    visitor    one connection, from its first byte until it is passed on or refused
    door       one port: open, shut or asleep, with who waits before it
    messages   what agent and front say to each other
    control    the front's ear for the agent
    client     the agent's side: starts the front, finds it again, gives it orders

This package and what it imports is all that runs in the front; of it `client` alone is the agent's.
"""
