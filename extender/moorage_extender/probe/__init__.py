"""The probe: one on each node, measures the way to the others and tells who asks."""
