"""The seconds that a detector takes per test image, for a page with times (docs/report.md)."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from src.files.records import read_records
from src.report.blocks import Block, Chart, Grid, Paragraph
from src.report.charts import SHARE, Line, line_chart
from src.report.inputs import Inputs, title
from src.report.sizes import read_times
from src.report.stages import Stage

PROPOSALS = "proposals"
PER_IMAGE = (PROPOSALS, "scores", "detections")  # folders of outputs with something for each image
ABOUT = (
    "Seconds per image are those of the stages that lead from the images to the detections, with the start of each "
    "program, on the machine that made this page. Trainings are not among them."
)


def against_time(inputs: Inputs, scores: dict[str, tuple[float, float | None]]) -> list[Block]:
    """Show mAP with its error against seconds per image; no block on a page without times.

    Args:
        inputs: of the page.
        scores: mAP and its standard error by detector. One with a stage that the times lack is left out and named.
    """
    if inputs.times is None:
        return []
    seconds = {name: seconds_per_image(inputs, name) for name in scores}
    known = {name: value for name, value in seconds.items() if value is not None}
    unknown = [title(name) for name in scores if name not in known]
    missing = f" Not every stage of {', '.join(unknown)} has a time." if unknown else ""
    if not known:
        return [Paragraph(ABOUT + missing)]
    lines = []
    order = list(inputs.named("plots/pr_*.csv"))  # so that a detector has one colour on the whole page
    for name, value in known.items():
        score, error = scores[name][0], scores[name][1] or 0.0
        label = f"{title(name)}: {value:.3g} s"
        lines.append(Line(label, [value] * 3, [score - error, score, score + error], order.index(name)))
    end = 1.1 * max(known.values())
    svg = line_chart(
        "speed", lines, "seconds per image", "VOC07 mAP", x_limits=(0, end), y_limits=SHARE, size=(4.8, 2.6)
    )
    alt = "mAP against seconds per image. " + "; ".join(f"{line.label}, mAP {line.y[1]:.3f}" for line in lines) + "."
    return [Grid([Chart(svg, alt, ABOUT + missing)], "Speed")]


def seconds_per_image(inputs: Inputs, detector: str) -> float | None:
    """Add up the seconds per image of all stages that a detector's detections need.

    None if a stage has no time, as one that was up to date when the times were taken.
    """
    assert inputs.times is not None
    times = read_times(inputs.times)
    total = 0.0
    for stage in stages_of(inputs, f"detections/{detector}"):
        if stage.name not in times:
            return None
        total += times[stage.name].seconds / _images(inputs, stage)
    return total


def stages_of(inputs: Inputs, out: str) -> list[Stage]:
    """List the stages that write an output and those that write what it needs for each image, each stage once.

    `out` is the end of the output's path.
    """
    return list({stage.name: stage for stage in _needed(inputs, out)}.values())


def _needed(inputs: Inputs, out: str) -> Iterator[Stage]:
    for stage in inputs.stages:
        if any(PurePosixPath(path).match(out) for path in stage.outs):
            yield stage
            for dep in stage.deps:
                if PurePosixPath(dep).parent.name in PER_IMAGE:
                    yield from _needed(inputs, dep)


def _images(inputs: Inputs, stage: Stage) -> int:
    """Count the images that a stage works on: those with proposals, or else the test images; at least 1."""
    written = [out for out in stage.outs if PurePosixPath(out).parent.name == PROPOSALS]
    number = len(read_records(inputs.existing(written[0]))) if written else len(inputs.test_ids)
    return max(number, 1)
