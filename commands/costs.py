"""Show the accuracy of each detector of the last run against its costs, as a table in Markdown and as a picture.

    python -m commands.costs

It needs the outputs of `make repro`, and report/times.csv with the time of each stage. Times differ from run to run, so
this is no stage. `src/report/speed.py` says which stages count.
"""

from pathlib import Path
from typing import Annotated

from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.storage import atomic
from src.params import Sections
from src.splits import Splits
from stages.command import command


class Params(Sections):
    """The sections that the figures need."""

    profile: str
    splits: Splits


def run(
    params: Params,
    *,
    times: Annotated[Path, "table of seconds per stage"] = Path("report/times.csv"),
    out: Annotated[Path, "the picture"] = Path("docs/pictures/costs.png"),
) -> None:
    """Print the table and draw the picture; detectors with a stage that has no time are left out and named."""
    from src.pictures.costs import Cost, picture
    from src.report import speed
    from src.report.inputs import Inputs, title
    from src.report.stages import read_pipeline

    if not times.exists():
        raise InputError(f"{times} is missing, and it has the time of each stage: run `make repro` first")
    images = BoxedImages("data/prepared/voc.zip")
    stages = read_pipeline(Path("dvc.yaml"), Path("params.yaml"))
    test_ids = images.ids(params.splits.test)
    inputs = Inputs(Path(), Path("report/report.html"), stages, images, test_ids, params.profile, {}, Path(), times)
    detectors, every = [], inputs.figures("metrics/*.json")
    for name in inputs.named("plots/pr_*.csv"):
        figures = every[name]
        seconds, minutes = speed.seconds_per_image(inputs, name), speed.training_minutes(inputs, name)
        if seconds is None or minutes is None:
            print(f"{title(name)} is left out: not every stage of it has a time in {times}")
            continue
        error = figures["standard_error"]["map_voc07"]
        detectors.append(Cost(title(name), figures["map_voc07"], error, seconds, minutes))
    print("| detector | VOC07 mAP | seconds per image | minutes of training |\n|---|---|---|---|")
    for row in detectors:
        print(f"| {row.title} | {row.map_voc07:.3f} +- {row.error:.3f} | {row.seconds:.3f} | {row.minutes:.1f} |")
    with atomic(out) as temporary:
        temporary.write_bytes(picture(detectors))


if __name__ == "__main__":
    command(run)
