"""What a model is not good for: sentences that follow from its data, its parameters and its figures."""

from collections.abc import Mapping, Sequence
from typing import Any

FEW = 1000  # images; below it the standard error of an accuracy of 0.9 is above 0.01


def of_data(source: str, test_images: int, *, same_people: bool = False) -> list[str]:
    """Limits of what it learnt from and was measured on.

    Args:
        source: `data.NAME.source` of params.yaml.
        test_images: number of images of the test split.
        same_people: whether one person may be in the test split and in the training.
    """
    said = []
    if source == "sample":
        said.append(
            "It learnt from the project's sample: on other photos it is of little use, and its figures compare with "
            "nothing that is published."
        )
    if test_images < FEW:
        said.append(f"{test_images} test images are few: others of their kind move the figures by a hundredth or more.")
    if same_people:
        said.append("The same people or writers made training and test images: of others the figures say nothing.")
    return said


def of_detector(classes: Sequence[str], size: int | None, ap: Mapping[str, float]) -> list[str]:
    """Limits of a detector.

    Args:
        classes: without background.
        size: side of its square input in pixels; None where it looks at regions.
        ap: average precision by class; empty where it tells none apart.
    """
    said = []
    if size is not None:
        said.append(f"Photos are squeezed to {size} x {size} pixels, so small objects of a large photo are lost.")
    if ap:
        worst = min(ap, key=lambda name: ap[name])
        said.append(f"It is weakest on {worst}, with an AP of {ap[worst]:.3f}.")
        known = _number(len(classes), "class")
        said.append(f"It knows {known} and nothing else; what looks alike is called one of them.")
    else:
        said.append("It says where an object is and not what it is; what it was not shown, it need not find.")
    return [*said, "Difficult objects of the annotation neither helped nor harmed its figures."]


def of_classifier(classes: Sequence[str], by_class: Mapping[str, Mapping[str, Any]], *, flip: bool) -> list[str]:
    """Limits of a classifier, whose `by_class` figures have `recall` and `images`."""
    said = [f"It says one of its {_number(len(classes), 'class')} whatever the photo shows."]
    there = {name: row["recall"] for name, row in by_class.items() if row["images"]}
    if there:
        worst = min(there, key=lambda name: there[name])
        said.append(f"It misses {worst} most often: its recall is {there[worst]:.3f}.")
    if flip:
        said.append("Its answer is the mean with the mirror image's, which takes two passes.")
    return said


def _number(count: int, word: str) -> str:
    plural = f"{word}es" if word.endswith("s") else f"{word}s"
    return f"{count} {word if count == 1 else plural}"
