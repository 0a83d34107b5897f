"""More than two sides: who agrees with whom, and who changed what since a common ancestor."""
