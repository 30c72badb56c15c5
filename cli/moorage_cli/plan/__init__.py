"""``moorage plan``: look at plans, let them run, stop them."""
