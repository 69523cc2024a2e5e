"""R-CNN: warped regions, features, SVMs with hard-negative mining, box regression, detection."""
