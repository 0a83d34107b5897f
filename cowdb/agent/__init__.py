"""The privileged side: snapshots, clones and the servers on them.

A request runs service -> plan -> journal -> storage and engines -> system.
"""
