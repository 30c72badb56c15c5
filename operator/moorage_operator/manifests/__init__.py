"""Pure builders of the objects that a pool owns, and how they compare with live ones."""
