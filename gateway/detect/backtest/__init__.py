"""Runs detection over recorded readings, as fast as it can, and says what would have been flagged."""
