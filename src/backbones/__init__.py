"""Networks that dense detectors stand on, one file each: `pyramid(width)` for SSD and `single(width)` for the RPN.

Both return a module with `channels`, whose forward gives a list of feature maps, from fine to coarse. Names of its
weights are those of torchvision's model of the same name, where it has one, so that ImageNet weights of that model fit.
"""
