"""``moorage why``: what the extender decided about a pod, with the numbers."""
