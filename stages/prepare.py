"""Check a data set image by image, and write it to one file with random access."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from src import plugins
from src.errors import InputError
from src.params import Sections
from src.splits import Splits
from stages.command import command
from stages.environment import jobs


class Params(Sections):
    """The sections that this stage reads; of `data` it uses only the data set's own part."""

    data: dict[str, Any]
    splits: Splits  # compared with those of the data here, rather than hours later


def run(params: Params, *, dataset: str, raw: Path, out: Path) -> None:
    """Write the prepared data set from the files in `raw`; if something is wrong, nothing is written."""
    module, section = plugins.section("datasets", params.data, dataset)
    try:
        data = module.prepare(raw, section, jobs())
    except InputError as error:
        remedy = f"; if you change the data, fetch them again with `dvc repro -f download@{dataset}`"
        raise InputError(f"{error}{remedy if section.source == 'local' else ''}") from None
    if module.TASK == "boxes":  # a labelled set always has the splits train, val and test
        _check_splits(params.splits, data.splits)
    data.write(out)
    print(data.summary())


def _check_splits(wanted: Splits, splits: Mapping[str, Sequence[str]]) -> None:
    for key, name in wanted.model_dump().items():
        if name is not None and not splits.get(name):
            known = ", ".join(f"{split} ({len(ids)} images)" for split, ids in splits.items())
            raise InputError(f"params.yaml: splits.{key} = {name!r}: the data have no such images, only {known}")


if __name__ == "__main__":
    command(run)
