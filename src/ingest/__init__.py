"""Bring a data set in: download it, unpack it, read it, draw it, split it."""
