"""Trained methods on photos that are in no data set, by the very functions of the pipeline's stages.

One file a kind of method: it is loaded from its model files once, `detect(image, image_id)` or `probabilities(image)`
is what it says of one image, and what takes long is apart from what a threshold changes.
"""
