"""The planner: makes room by plans when kube-scheduler finds none."""
