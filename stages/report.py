"""Write the report: one HTML page with figures, curves, and pictures of detected and missed objects."""

from pathlib import Path
from typing import Any

from src.files.boxed_images import BoxedImages
from src.files.storage import atomic
from src.params import Sections
from src.splits import Splits
from stages.command import command

NOTHING = Path()
MOST_BYTES = 5_000_000


class Ranking(Sections):
    """The parameter that decides if the proposals of selective search are in random order."""

    ranked: bool


class Params(Sections):
    """The sections that this stage reads."""

    profile: str
    splits: Splits
    selective_search: Ranking
    classifiers: dict[str, Any]


def run(
    params: Params,
    *,
    pipeline: Path,
    parameters: Path,
    images: Path,
    results: Path,
    out: Path,
    times: Path = NOTHING,
    comparison: Path = NOTHING,
) -> None:
    """Write the page from the outputs that the pipeline declares: the same bytes for the same outputs.

    `results` holds recorded runs on real photos. `times` is a table of seconds per stage, and `comparison` one of two
    revisions (commands/compare.py). The pipeline gives neither, because with them the page would differ between
    machines.
    """
    from src.report.inputs import RANDOM_ORDER, Inputs
    from src.report.page import page
    from src.report.stages import read_pipeline

    data = BoxedImages(images)
    inputs = Inputs(
        root=pipeline.parent,
        out=out,
        stages=read_pipeline(pipeline, parameters),
        images=data,
        test_ids=data.ids(params.splits.test),
        profile=params.profile,
        classifiers=params.classifiers,
        results=results,
        times=None if times == NOTHING else times,
        unranked=() if params.selective_search.ranked else RANDOM_ORDER,
        comparison=None if comparison == NOTHING else comparison,
    )
    text = page(inputs)
    with atomic(out) as temporary:
        temporary.write_text(text)
    size = len(text.encode())
    print(f"{out}: {size / 1e6:.1f} MB" + (f", more than {MOST_BYTES / 1e6:g} MB" if size > MOST_BYTES else ""))


if __name__ == "__main__":
    command(run)
