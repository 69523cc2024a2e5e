"""Networks of others: torchvision's classifiers, and the weights that a network starts from."""
