"""A stand-in for NVIDIA's device plugin and its feature discovery."""
