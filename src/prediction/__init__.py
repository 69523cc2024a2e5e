"""Predictions of trained methods for photos that are in no data set, with the functions of the pipeline's stages.

There is one file per kind of method. A method is loaded from its model files once, and `detect(image, image_id)` or
`probabilities(image)` returns its result for one image. Slow steps are separate from those that a threshold changes.
"""
