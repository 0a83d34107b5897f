"""Numbers of rows from a snapshot's number and the blocks that have changed since."""
