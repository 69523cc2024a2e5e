"""Samples that the project draws in the form of the real data sets, so that a fresh clone runs without them."""
