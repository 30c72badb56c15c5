"""Resources of Moorage and the Kubernetes vocabulary, free of I/O."""
