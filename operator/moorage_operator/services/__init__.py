"""What the operator does for pools: pure planning and status, and the steps that carry it out."""
