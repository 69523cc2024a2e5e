"""What classifiers see of an image, of torchvision's transforms v2: its size, its augmentation, its normalisation."""

from torchvision.transforms import v2

from src.classification.params import Augment, Input
from src.networks.imagenet import normalise


def fixed_steps(inputs: Input, augment: Augment | None) -> v2.Transform:
    """What each image goes through once, whatever the epoch: the resizing, where no crop comes before it."""
    return v2.Identity() if _crops(augment) else v2.Resize(inputs.size, antialias=True)


def random_steps(inputs: Input, augment: Augment | None) -> v2.Transform:
    """What is drawn anew for each image of each batch; None for images that are not trained on, and nothing is drawn.

    A crop keeps a share of the area between `crop` and 1 and a ratio of the sides between 3:4 and 4:3 (Szegedy et al.
    2015), and is resized. What comes into the image by a rotation, shift, shear or shrinking is black.
    """
    if augment is None:
        return v2.Identity()
    steps: list[v2.Transform] = []
    if _crops(augment):
        steps.append(v2.RandomResizedCrop(inputs.size, scale=(augment.crop, 1.0), antialias=True))
    if augment.rotate or augment.shift or augment.zoom or augment.shear:
        affine = v2.RandomAffine(
            degrees=augment.rotate,
            translate=(augment.shift, augment.shift),
            scale=(1 - augment.zoom, 1 + augment.zoom),
            shear=augment.shear,
            interpolation=v2.InterpolationMode.BILINEAR,
        )
        steps.append(affine)
    steps += [v2.RandomPhotometricDistort(p=augment.photometric)] if augment.photometric else []
    steps += [v2.RandomHorizontalFlip(augment.flip)] if augment.flip else []
    return v2.Compose(steps) if steps else v2.Identity()


def transform(inputs: Input) -> v2.Transform:
    """Return the steps from an RGB image, bytes [3, H, W], to the network's input, for images not trained on."""
    return v2.Compose([fixed_steps(inputs, None), normalise(inputs.mean, inputs.std)])


def mix(augment: Augment | None, num_classes: int) -> v2.Transform | None:
    """Mixup (Zhang et al. 2018), CutMix (Yun et al. 2019), or one of both for each batch; None where neither is on.

    It takes images and labels [B] of a batch and gives images and shares of the classes [B, C].
    """
    if augment is None:
        return None
    chosen = [v2.MixUp(alpha=augment.mixup, num_classes=num_classes)] if augment.mixup else []
    chosen += [v2.CutMix(alpha=augment.cutmix, num_classes=num_classes)] if augment.cutmix else []
    return v2.RandomChoice(chosen) if chosen else None


def _crops(augment: Augment | None) -> bool:
    return augment is not None and augment.crop < 1
