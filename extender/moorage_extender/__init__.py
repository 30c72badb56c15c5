"""The HTTP scheduler extender."""
