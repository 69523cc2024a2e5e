import cv2
import numpy as np
import pytest

from src.selective_search.segmentation import MIN_SIZE, pixel_graph, segment, smooth
from src.selective_search.strategies import MODES, converted
from tests.selective_search.pictures import SHAPES, noise, scenes

SPACES = MODES["quality"].spaces


def weights(image: np.ndarray) -> np.ndarray:
    return (pixel_graph(image).edges >> np.uint64(32)).astype(np.uint32).view(np.float32)


def partition(labels: np.ndarray) -> np.ndarray:
    """Renumber the labels in the order of their first pixels."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].reshape(labels.shape)


@pytest.mark.parametrize("space", SPACES)
def test_regions_are_those_of_opencvs_graph_segmentation(space: str) -> None:
    for image in scenes(2):
        channels = converted(image, space)
        graph = pixel_graph(channels)
        for k in (150, 600):
            opencv = cv2.ximgproc.segmentation.createGraphSegmentation(0.8, float(k), MIN_SIZE).processImage(channels)
            ours = segment(graph, k)
            np.testing.assert_array_equal(partition(ours), ours)
            assert (partition(opencv) == ours).mean() > 0.99  # OpenCV orders edges of equal weight differently


def test_the_blur_is_opencvs_up_to_rounding() -> None:
    image = noise(40, 50)
    opencv = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.8, sigmaY=0.8)
    np.testing.assert_allclose(smooth(image), opencv, rtol=1e-6)


def test_edges_by_hand() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    image[:, 10:] = [3, 4, 12]
    found = weights(image)
    assert len(found) == 2 * 20 * 19
    assert (np.diff(found) >= 0).all()
    step = smooth(image)[0]
    np.testing.assert_allclose(found[-20:], np.linalg.norm(step[9] - step[10]), rtol=1e-6)
    assert (found[: 20 * 19] == 0).all()  # no edge along a column has a weight


def test_two_regions_by_hand() -> None:
    """Two plain halves of 20 x 30 pixels: the step of 13 is blurred over some columns of 20 edges each."""
    image = np.zeros((20, 60, 3), np.uint8)
    image[:, 30:] = [30, 40, 120]  # 130 apart
    labels = segment(pixel_graph(image), 150)
    assert labels.dtype == np.int32
    assert labels[0, 0] == 0
    np.testing.assert_array_equal(labels, np.repeat([[0] * 30 + [1] * 30], 20, axis=0))
    assert segment(pixel_graph(image), 1e6).max() == 0  # k / |C| is larger than every weight


def test_regions_are_connected_and_none_is_below_the_smallest_size() -> None:
    labels = segment(pixel_graph(noise(40, 70)), 150)
    assert np.bincount(labels.ravel()).min() >= MIN_SIZE
    for region in range(labels.max() + 1):
        count, _ = cv2.connectedComponents((labels == region).astype(np.uint8), connectivity=4)
        assert count == 2  # the region and the rest of the image


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_any_shape_is_segmented(height: int, width: int) -> None:
    labels = segment(pixel_graph(noise(height, width)), 150)
    assert labels.shape == (height, width)
    assert set(np.unique(labels)) == set(range(labels.max() + 1))
