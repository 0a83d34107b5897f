"""What a strategy does: a command, or SQL files, run as the caller against a branch."""
