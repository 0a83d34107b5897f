"""Random work on branches, for the property test of the row comparison."""
