"""Backbones of the dense detectors, one file each: `pyramid(width)` for SSD and `single(width)` for the RPN.

Both return a module with `channels`; its forward returns a list of feature maps, from fine to coarse. If torchvision
has a model with the name of the file, the weights have the names of that model, so that its ImageNet weights fit.
"""
