"""Metrics of detections, proposals and classifiers, and the standard error of each figure."""
