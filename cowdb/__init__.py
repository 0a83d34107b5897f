"""cowdb: a real, writable PostgreSQL for every migration, test and experiment.

Two sides share the values in this folder (errors, names, model, config, wire) and nothing else:
the *agent* (root: snapshots, clones, servers) and the *controller* (no privilege: comparison).
The surfaces (cli, demo) stand on the controller.
"""

__version__ = "0.1.0"
