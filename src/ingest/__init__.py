"""Ways to get a data set: download it, read its archives, draw a sample, and split it."""
