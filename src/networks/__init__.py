"""Networks that are not ours: torchvision's classifiers, and the weights that a network starts from."""
