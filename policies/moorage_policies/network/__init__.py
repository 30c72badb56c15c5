"""Where a workload runs fastest, predicted from what probes tell about the network."""
