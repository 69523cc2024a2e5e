from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings

from src.selective_search.grouping import Measures, group, merged
from src.selective_search.regions import Regions, colour_bins, describe
from src.selective_search.segmentation import pixel_graph, segment
from src.selective_search.strategies import EVERY, FILL, NO_COLOUR, SIZE
from src.selective_search.texture import texture_bins
from tests.selective_search.pictures import label_maps, noise, scenes

each_choice = pytest.mark.parametrize("measures", [EVERY, NO_COLOUR, FILL, SIZE])


def regions_of(labels: np.ndarray) -> Regions:
    space = noise(*labels.shape)
    return describe(labels, colour_bins(space), texture_bins(space))


def shares(histogram: np.ndarray) -> list[Fraction]:
    total = int(histogram.sum())
    return [Fraction(int(count), total) for count in histogram]


def by_the_book(regions: Regions, measures: Measures) -> list[list[int]]:
    """Run Algorithm 1 in exact fractions, with a search of all pairs for each merge."""
    boxes, sizes = regions.boxes.tolist(), regions.sizes.tolist()
    colours, textures = list(regions.colours), list(regions.textures)
    near = {tuple(pair) for pair in regions.neighbours.tolist()}
    pixels = sum(sizes)

    def union(a: int, b: int) -> list[int]:
        return [f(x, y) for f, x, y in zip((min, min, max, max), boxes[a], boxes[b], strict=True)]

    def similarity(a: int, b: int) -> Fraction:
        x1, y1, x2, y2 = union(a, b)
        both = sizes[a] + sizes[b]
        parts = {
            "colour": sum(map(min, shares(colours[a]), shares(colours[b])), Fraction(0)),
            "texture": sum(map(min, shares(textures[a]), shares(textures[b])), Fraction(0)),
            "size": 1 - Fraction(both, pixels),
            "fill": 1 - Fraction((x2 - x1) * (y2 - y1) - both, pixels),
        }
        return sum((value for name, value in parts.items() if getattr(measures, name)), Fraction(0))

    while near:
        a, b = min(near, key=lambda pair: (-similarity(*pair), pair))
        new = len(sizes)
        boxes.append(union(a, b))
        sizes.append(sizes[a] + sizes[b])
        colours.append(colours[a] + colours[b])
        textures.append(textures[a] + textures[b])
        renamed = {tuple(sorted(new if part in (a, b) else part for part in pair)) for pair in near}
        near = {pair for pair in renamed if pair[0] != pair[1]}
    return boxes


@each_choice
@settings(max_examples=25)
@given(labels=label_maps(6))
def test_boxes_are_those_of_the_algorithm_as_it_is_printed(labels: np.ndarray, measures: Measures) -> None:
    regions = regions_of(labels)
    assert sorted(group(regions, measures).tolist()) == sorted(by_the_book(regions, measures))


@each_choice
@given(labels=label_maps())
def test_all_regions_end_in_one_that_covers_the_image(labels: np.ndarray, measures: Measures) -> None:
    height, width = labels.shape
    regions = regions_of(labels)
    boxes = group(regions, measures)
    assert len(boxes) == 2 * len(regions.sizes) - 1
    np.testing.assert_array_equal(boxes[: len(regions.boxes)], regions.boxes)
    assert (boxes >= 0).all()
    assert (boxes <= [width, height, width, height]).all()
    assert boxes[-1].tolist() == [0, 0, width, height]


def test_features_of_merged_regions_are_those_of_all_their_pixels() -> None:
    image = scenes(1)[0]
    labels = segment(pixel_graph(image), 300)
    colour, texture = colour_bins(image), texture_bins(image)
    regions = describe(labels, colour, texture)
    boxes, sizes, colours, textures = merged(regions, EVERY)
    whole = describe(np.zeros_like(labels), colour, texture)
    for found, expected in zip((boxes, sizes, colours, textures), (whole.boxes, whole.sizes, *whole[3:]), strict=True):
        np.testing.assert_array_equal(found[-1], expected[0])
    first = len(regions.sizes)  # row of the first merge: for some two regions, its histograms are those of their union
    assert any(
        (regions.colours[a] + regions.colours[b] == colours[first]).all()
        and (
            describe((~np.isin(labels, [a, b])).astype(np.int32), colour, texture).textures[0] == textures[first]
        ).all()
        for a, b in combinations(range(first), 2)
        if regions.sizes[a] + regions.sizes[b] == sizes[first]
    )


def test_by_hand() -> None:
    """Three stripes of 2, 4 and 4 pixels: size joins the first two; fill has a tie, so the lower numbers join."""
    labels = np.repeat(np.array([[0, 1, 1, 2, 2]], np.int32), 2, axis=0)
    assert group(regions_of(labels), SIZE)[3:].tolist() == [[0, 0, 3, 2], [0, 0, 5, 2]]
    assert group(regions_of(labels), FILL)[3:].tolist() == [[0, 0, 3, 2], [0, 0, 5, 2]]
    assert group(regions_of(labels[:, ::-1].copy()), SIZE)[3:].tolist() == [[2, 0, 5, 2], [0, 0, 5, 2]]


def test_one_region_is_its_own_end() -> None:
    assert group(regions_of(np.zeros((3, 4), np.int32)), EVERY).tolist() == [[0, 0, 4, 3]]
