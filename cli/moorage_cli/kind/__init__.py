"""Real kind clusters, also where no container registry can be reached."""
