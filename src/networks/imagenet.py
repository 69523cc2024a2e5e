"""What networks with ImageNet's weights expect of an image: RGB in 0..1, with this mean and deviation taken away."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
