"""The ground-truth objects of one image, which detectors learn and are measured against."""

from collections.abc import Mapping
from typing import Any

Target = dict[str, Any]  # boxes float32 [M, 4], labels int64 [M], difficult bool [M], image_id str; M may be 0
Targets = Mapping[str, Target]  # image id -> target
