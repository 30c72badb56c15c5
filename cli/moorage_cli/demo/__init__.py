"""``moorage demo``: the main job on a real control plane, told as one short story."""
