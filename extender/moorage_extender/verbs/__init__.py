"""The four verbs that kube-scheduler calls."""
