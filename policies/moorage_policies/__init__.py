"""Every decision of Moorage as pure functions: no I/O, no clock, no logs."""
