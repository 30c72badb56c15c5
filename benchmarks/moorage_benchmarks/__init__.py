"""Benchmark protocols, one a module, peers and ours in the same run."""
