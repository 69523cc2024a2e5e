"""Propose regions by selective search on the images that R-CNN uses."""

from functools import partial
from pathlib import Path

import numpy as np

from src.files.boxed_images import BoxedImages
from src.files.records import check_room, write_records
from src.parallel import parallel_map
from src.params import Sections, Seed
from src.proposals import selective_search
from src.splits import Splits
from stages.command import command
from stages.environment import jobs


class Params(Sections):
    """The sections that this stage reads."""

    seed: Seed
    splits: Splits
    selective_search: selective_search.SelectiveSearch


def run(params: Params, *, images: Path, out: Path) -> None:
    """Write the proposals of all images that R-CNN uses."""
    data = BoxedImages(images)
    ids = data.ids(*params.splits.of_regions())
    check_room(out, len(ids), params.selective_search.max_proposals, "set selective_search.max_proposals to less")
    propose = partial(_propose, data, params)
    boxes = parallel_map(propose, ids, jobs(), "selective search")
    write_records(out, {image_id: {"boxes": values} for image_id, values in zip(ids, boxes, strict=True)})
    print(f"{len(ids)} images, {sum(map(len, boxes)) / len(ids):.0f} proposals per image")


def _propose(data: BoxedImages, params: Params, image_id: str) -> np.ndarray:
    options = params.selective_search.model_dump()
    return selective_search.propose(data.image(image_id), **options, seed=params.seed, image_id=image_id)


if __name__ == "__main__":
    command(run)
