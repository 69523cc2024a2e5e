"""Check a data set image by image, and write it to one file with random access."""

from pathlib import Path
from typing import Any

from src import plugins
from src.errors import InputError
from src.files import room
from src.ingest.problems import ProblemsError, told
from src.ingest.split_checks import check_splits, with_extra
from src.params import Sections
from src.splits import Splits
from stages.command import command
from stages.environment import jobs

PROBLEMS = Path("reports/problems.csv")


class Params(Sections):
    """The sections that this stage reads; of `data` it uses only the data set's own part."""

    data: dict[str, Any]
    splits: Splits  # compared with those of the data here, rather than hours later


def run(params: Params, *, dataset: str, raw: Path, out: Path) -> None:
    """Write the prepared data set from the files in `raw`; if something is wrong, nothing is written."""
    module, section = plugins.section("datasets", params.data, dataset)
    room.disk(out.parent, sum(path.stat().st_size for path in raw.iterdir()), f"the images of {raw}")
    boxed, left_out = module.TASK == "boxes", list[str]()
    try:
        data = module.prepare(raw, section, jobs(), *([left_out] if boxed else []))
    except ProblemsError as error:
        raise InputError("; ".join(filter(None, [str(error), told(PROBLEMS, error.problems)]))) from None
    notes = [told(PROBLEMS, left_out)] if len(left_out) > 1 else []
    if boxed:  # a labelled set always has the splits train, val and test
        data, added = with_extra(params.splits, data)
        notes += [*added, *check_splits(params.splits, data)]
    data.write(out)
    print("\n".join([data.summary(), *notes]))


if __name__ == "__main__":
    command(run)
