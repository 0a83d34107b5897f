"""A migration in two steps: prepared on a branch, with the lab's evidence; completed on the source
only where the host's policy allows that."""
