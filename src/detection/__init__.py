"""Code that all dense detectors share: anchors, augmentation, batches, training, running."""
