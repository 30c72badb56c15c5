"""What stands in for accelerators and model servers where there are none."""
