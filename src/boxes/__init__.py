"""Box geometry, overlap, and matching of boxes to ground-truth boxes."""
