"""``moorage snapshot``: what the planner sees, as a file."""
