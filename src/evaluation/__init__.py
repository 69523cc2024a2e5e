"""Measure detections, proposals and classifications, and the error of each figure."""
