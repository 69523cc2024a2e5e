"""Ways to get a data set: read its archives, draw a sample, and split it."""
