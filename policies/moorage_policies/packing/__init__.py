"""Certified packing: the joint placement problem by priority, with a proof where there is one."""
