"""Propose regions by selective search on the images that R-CNN uses."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from src.files.boxed_images import BoxedImages
from src.files.records import Record, check_room, write_records
from src.parallel import parallel_map
from src.params import Sections, Seed
from src.proposals import selective_search
from src.splits import Splits
from stages.cluster import pool
from stages.command import command
from stages.environment import shards

CHUNK = 16  # images whose proposals are kept together, if the run is stopped


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
    parts = shards("propose", params.model_dump(), [images])
    propose = parts.keeping(partial(_propose, data, params))
    chunks = enumerate(ids[first : first + CHUNK] for first in range(0, len(ids), CHUNK))
    found = parallel_map(propose, list(chunks), pool(), f"selective search, {CHUNK} images at a time")
    boxes = {image_id: part[image_id] for part in found for image_id in part}
    write_records(out, {image_id: {"boxes": boxes[image_id]} for image_id in ids})
    parts.forget()
    print(f"{len(ids)} images, {sum(map(len, boxes.values())) / len(ids):.0f} proposals per image")


def _propose(data: BoxedImages, params: Params, ids: Sequence[str]) -> Record:
    options = {**params.selective_search.model_dump(), "seed": params.seed}
    return {name: selective_search.propose(data.image(name), **options, image_id=name) for name in ids}


if __name__ == "__main__":
    command(run)
