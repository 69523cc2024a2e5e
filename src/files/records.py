"""Records, which are arrays of a different length per image, in one file: the format of proposals and detections.

Proposals hold `boxes` [N, 4]. Detections hold `boxes` [N, 4], `labels` [N] (1-based: 0 is background) and `scores` [N].
An image without boxes has a record with N = 0. Images keep the order in which they were written.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from src.errors import InputError
from src.files import room
from src.files.damage import REMEDY
from src.files.storage import read_npz, write_npz

Record = dict[str, np.ndarray]
BOX = 16  # bytes of a box without label and score
EXPECTED = 2500  # proposals of an image if nothing limits them; 2,000 on photos (R-CNN Sec. 2.2)
COPIES = 4  # of all arrays in memory while they are written: the records', joined, and as the bytes of a file
OF_AN_ID = 100  # bytes in the file for the id of an image, of some 20 letters, and its offset
OF_A_RECORD = 1000  # bytes of memory for its arrays and their dictionary, without their content


def check_room(path: str | Path, images: int, most: int | None, remedy: str, *, files: int = 1) -> None:
    """Raise an `InputError`, before they are computed, if the records of boxes need more disk or memory than is free.

    Args:
        path: the file.
        images: number of records.
        most: boxes of a record, at most; None is no limit, and then `EXPECTED` are.
        remedy: the parameter that limits the boxes, as "lower NAME".
        files: number of such files, which are written one after the other.
    """
    most = EXPECTED if most is None else most
    purpose = f"{images} images with at most {most} boxes each"
    room.disk(Path(path).parent, files * images * (most * BOX + OF_AN_ID), purpose, remedy)
    room.memory(images * (COPIES * most * BOX + OF_A_RECORD), purpose, remedy)


def write_records(path: str | Path, records: Mapping[str, Record]) -> None:
    """Write one record per image, by image id; all have the same arrays. No record at all is an `InputError`."""
    if not records:
        raise InputError(f"{path}: there is no image to write a record for")
    lengths = [len(next(iter(record.values()))) for record in records.values()]
    names = next(iter(records.values())).keys()
    columns = {name: np.concatenate([record[name] for record in records.values()]) for name in names}
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    write_npz(path, {**columns, "offsets": offsets, "image_ids": np.array(list(records))})


def read_records(path: str | Path, image_ids: Sequence[str] | None = None) -> dict[str, Record]:
    """Read all records by image id, or those of `image_ids`.

    An id without a record, or a file that holds no records, is an `InputError`.
    """
    columns = read_npz(path)
    if not _are_records(columns):
        raise InputError(f"{path} holds no records: {REMEDY}")
    offsets, known = columns.pop("offsets"), columns.pop("image_ids").tolist()
    position = {image_id: index for index, image_id in enumerate(known)}
    wanted = known if image_ids is None else image_ids
    if missing := [image_id for image_id in wanted if image_id not in position]:
        more = f"{len(missing) - 1} more"
        raise InputError(f"{path} has no record of image {missing[0]} and {more}: rerun the stage that writes it")
    return {
        image_id: {name: column[offsets[row] : offsets[row + 1]] for name, column in columns.items()}
        for image_id in wanted
        for row in [position[image_id]]
    }


def _are_records(columns: Mapping[str, np.ndarray]) -> bool:
    """Tell whether the arrays are those of `write_records`: ids, ascending offsets, and columns of one length."""
    if not {"offsets", "image_ids"} < columns.keys():
        return False
    offsets, ids = columns["offsets"], columns["image_ids"]
    if offsets.dtype != np.int64 or offsets.shape != (len(np.atleast_1d(ids)) + 1,) or ids.ndim != 1 or offsets[0]:
        return False
    lengths = {len(np.atleast_1d(column)) for name, column in columns.items() if name not in ("offsets", "image_ids")}
    return bool((np.diff(offsets) >= 0).all()) and lengths == {int(offsets[-1])}
