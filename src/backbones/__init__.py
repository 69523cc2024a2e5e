"""Backbones of the dense detectors, one file each: `pyramid(width)` for SSD and `single(width)` for the RPN.

Both return a module with `channels`; its forward returns a list of feature maps, from fine to coarse. If torchvision
has a model with the name of the file, the weights have the names of that model, so that its ImageNet weights fit.

A file may have `adapted(weights)`: it takes the weights of that model and returns those of the backbone by its own
names. VGG16 makes two convolutions of fully connected layers in this way.
"""
