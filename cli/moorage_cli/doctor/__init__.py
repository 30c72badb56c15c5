"""What is wrong with a cluster for Moorage, and what to do about each finding."""
