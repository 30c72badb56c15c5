"""A model server that computes nothing and behaves like one towards schedulers and scalers."""
