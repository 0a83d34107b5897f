"""Each truth about PostgreSQL that the design names, on a real attached source."""
