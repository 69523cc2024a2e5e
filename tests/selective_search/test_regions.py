import numpy as np
from hypothesis import given

from src.selective_search.regions import colour_bins, describe, neighbours
from src.selective_search.texture import texture_bins
from tests.selective_search.pictures import label_maps, noise


@given(label_maps())
def test_features_are_those_of_the_regions_pixels(labels: np.ndarray) -> None:
    space = noise(*labels.shape)
    regions = describe(labels, colour_bins(space), texture_bins(space))
    for region in range(labels.max() + 1):
        inside = labels == region
        rows, columns = np.nonzero(inside)
        assert regions.sizes[region] == inside.sum()
        assert regions.boxes[region].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        expected = [
            np.bincount(space[inside][:, channel].astype(int) * 25 // 256, minlength=25) for channel in range(3)
        ]
        np.testing.assert_array_equal(regions.colours[region], np.concatenate(expected))
    whole = regions.textures.reshape(len(regions.sizes), -1, 10).sum(axis=2)
    np.testing.assert_array_equal(whole, np.repeat(regions.sizes[:, None], 8 * 3, axis=1))


@given(label_maps())
def test_neighbours_are_the_labels_left_of_above_and_left_above(labels: np.ndarray) -> None:
    pairs = set()
    for one, other in (
        (labels[:, 1:], labels[:, :-1]),
        (labels[1:], labels[:-1]),
        (labels[1:, 1:], labels[:-1, :-1]),
    ):
        pairs |= {(min(a, b), max(a, b)) for a, b in zip(one.ravel().tolist(), other.ravel().tolist(), strict=True)}
    assert neighbours(labels).tolist() == sorted([a, b] for a, b in pairs if a != b)
