"""Bounded migrations that bring scattered free room together; see README.md."""
