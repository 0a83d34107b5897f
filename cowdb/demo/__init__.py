"""The demo: an e-commerce database of a million users, and migrations to try on its branches."""
