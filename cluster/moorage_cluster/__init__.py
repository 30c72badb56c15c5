"""The only way to the API server."""
