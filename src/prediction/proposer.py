"""The type of a method of proposals, which R-CNN and Fast R-CNN take as an input."""

from collections.abc import Callable

import numpy as np

Propose = Callable[[np.ndarray, str], np.ndarray]  # (RGB image [H, W, 3], image id) -> boxes [N, 4]
