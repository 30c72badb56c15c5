"""``moorage audit``: whether a running cluster keeps the promises."""
