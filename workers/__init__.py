"""The workers: they look at the world and announce how it stands. No database here, and no Redis but through
the feed."""
