"""The limits of a model: sentences that follow from its data, its parameters and its figures."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from src.detection.sizes import Size  # its module imports torch

FEW = 1000  # images; with fewer, the standard error of an accuracy of 0.9 is about 0.01 or more


def of_data(source: str, test_images: int, *, same_people: bool = False) -> list[str]:
    """List the limits that follow from the training and test images.

    Args:
        source: `data.NAME.source` of params.yaml.
        test_images: number of images of the test split.
        same_people: one person may have made images of both the training and the test split.
    """
    sentences = []
    if source == "sample":
        sentences.append(
            "It was trained on the project's sample: it is of little use on other photos, and its figures cannot be "
            "compared with published ones."
        )
    if test_images < FEW:
        sentences.append(f"{test_images} test images are few: other images would change the figures by 0.01 or more.")
    if same_people:
        sentences.append(
            "The same people or writers made training and test images, so the figures do not hold for other people."
        )
    return sentences


def of_detector(classes: Sequence[str], size: "Size | None", ap: Mapping[str, float]) -> list[str]:
    """List the limits of a detector.

    Args:
        classes: without background.
        size: rule that scales photos to its input; None if its inputs are regions.
        ap: average precision per class; empty if it does not distinguish classes.
    """
    sentences = []
    if size is not None:
        sentences.append(f"Photos are resized to {size.words}, so small objects of a large photo are lost.")
    if ap:
        worst = min(ap, key=lambda name: ap[name])
        sentences.append(f"It is weakest on {worst}, with an AP of {ap[worst]:.3f}.")
        known = _number(len(classes), "class")
        sentences.append(f"It knows {known} and nothing else; it may take similar objects for one of them.")
    else:
        sentences.append("It finds where an object is, not what it is; it may miss objects that it was not trained on.")
    return [*sentences, "Objects that are annotated as difficult do not count in its figures."]


def of_classifier(classes: Sequence[str], by_class: Mapping[str, Mapping[str, Any]], *, flip: bool) -> list[str]:
    """List the limits of a classifier.

    Args:
        classes: their names.
        by_class: figures per class, with `recall` and `images`.
        flip: it takes the mean with the probabilities of the mirror image.
    """
    sentences = [f"It always gives one of its {_number(len(classes), 'class')}, whatever the photo shows."]
    recalls = {name: row["recall"] for name, row in by_class.items() if row["images"]}
    if recalls:
        worst = min(recalls, key=lambda name: recalls[name])
        sentences.append(f"It misses {worst} most often: its recall is {recalls[worst]:.3f}.")
    if flip:
        sentences.append("It averages the probabilities of the photo and its mirror image, which takes two passes.")
    return sentences


def _number(count: int, word: str) -> str:
    plural = f"{word}es" if word.endswith("s") else f"{word}s"
    return f"{count} {word if count == 1 else plural}"
