"""A data set, checked image by image, as one file with random access."""

from pathlib import Path

from src.archives import open_archive
from src.datasets import voc
from src.datasets.voc_params import Data
from src.errors import InputError
from src.params import Sections, Splits
from src.samples import write_samples
from stages.command import command
from stages.environment import jobs


class Params(Sections):
    """What this stage reads of params.yaml."""

    data: Data
    splits: Splits  # must be among those of the data, which shows here rather than hours later


def run(params: Params, *, raw: Path, out: Path) -> None:
    """Write the prepared data set from the archives in `raw`; where something is wrong, nothing is written."""
    section = params.data.voc
    options = section.model_dump(include={"classes", "other_classes", "limit"})
    try:
        data = voc.load([open_archive(path) for path in sorted(raw.iterdir())], **options, jobs=jobs())
    except InputError as error:
        again = "; if you change the data, fetch them again with `dvc repro -f download@voc`"
        raise InputError(f"{error}{again if section.source == 'local' else ''}") from None
    _check_splits(params.splits, data)
    write_samples(out, *data)
    print(_summary(data))


def _check_splits(wanted: Splits, data: voc.VocData) -> None:
    for key, name in wanted.model_dump().items():
        if name is not None and not data.splits.get(name):
            known = ", ".join(f"{split} ({len(ids)} images)" for split, ids in data.splits.items())
            raise InputError(f"params.yaml: splits.{key} = {name!r}: the data have no such images, only {known}")


def _summary(data: voc.VocData) -> str:
    difficult = [flag for entry in data.images.values() for flag in entry["difficult"]]
    splits = ", ".join(f"{name} {len(ids)}" for name, ids in data.splits.items())
    return (
        f"{len(data.images)} images ({splits}), {len(difficult)} objects ({sum(difficult)} difficult) "
        f"of {len(data.classes)} classes"
    )


if __name__ == "__main__":
    command(run)
