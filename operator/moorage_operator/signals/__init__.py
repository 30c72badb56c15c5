"""Where the numbers of model servers come from."""
