"""The inputs of classifiers: size, augmentation and normalisation of images, made of torchvision's transforms v2."""

import torch
from torchvision.transforms import v2

from src.classification.params import Augment, Input
from src.networks.imagenet import normalise


def fixed_steps(inputs: Input, augment: Augment | None) -> v2.Transform:
    """Return the step that is the same in every epoch: the resizing, unless a crop comes before it."""
    return v2.Identity() if _crops(augment) else v2.Resize(inputs.size, antialias=True)


def random_steps(inputs: Input, augment: Augment | None) -> v2.Transform:
    """Return the random steps for an image of a batch; without `augment` (validation, test) there are none.

    A crop keeps a share of the area between `crop` and 1 and has a ratio of sides between 3:4 and 4:3 (Szegedy et al.
    2015); it is then resized. Pixels that a rotation, shift, shear or shrinking brings into the image are black.
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


def pass_over(steps: v2.Transform, shape: tuple[int, int]) -> None:
    """Draw the numbers that `random_steps` draws for an image, and leave the image out: another process has it.

    Args:
        steps: the result of `random_steps`.
        shape: (height, width) of the image before them.
    """
    image = torch.zeros(()).expand(3, *shape)  # the steps ask for its shape
    for step in steps.transforms if isinstance(steps, v2.Compose) else []:
        if isinstance(step, v2.RandomHorizontalFlip):
            torch.rand(1)
        else:
            step.make_params([image])


def transform(inputs: Input) -> v2.Transform:
    """Return the steps from an RGB image, bytes [3, H, W], to the network's input, for images not trained on."""
    return v2.Compose([fixed_steps(inputs, None), normalise(inputs.mean, inputs.std)])


def mix(augment: Augment | None, num_classes: int) -> v2.Transform | None:
    """Return Mixup (Zhang et al. 2018), CutMix (Yun et al. 2019), or either per batch; None if both are 0.

    The transform takes the images and labels [B] of a batch, and returns images and class shares [B, C].
    """
    if augment is None:
        return None
    chosen = [v2.MixUp(alpha=augment.mixup, num_classes=num_classes)] if augment.mixup else []
    chosen += [v2.CutMix(alpha=augment.cutmix, num_classes=num_classes)] if augment.cutmix else []
    return v2.RandomChoice(chosen) if chosen else None


def _crops(augment: Augment | None) -> bool:
    return augment is not None and augment.crop < 1
