"""The kopf side: handlers that only take note and wake."""
