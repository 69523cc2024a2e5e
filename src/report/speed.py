"""A detector's seconds per test image and minutes of training, for a page with times (docs/report.md)."""

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
PREPARED = "prepared"  # folder of the images
PER_TEST_IMAGE = (
    "Seconds per image are those of the stages that lead from the images to the detections, with the start of each "
    "program, on the machine that made this page. Trainings are not among them."
)
TRAINING = (
    "Minutes of training are those of all other stages that read images and lead to the detections, on the machine "
    "that made this page. R-CNN has several: pretraining, fine-tuning, features, SVMs, box regression. Proposals are "
    "not among them."
)


def against_time(inputs: Inputs, scores: dict[str, tuple[float, float | None]]) -> list[Block]:
    """Show mAP with its error against seconds per image and against minutes of training; no block without times.

    Args:
        inputs: of the page.
        scores: mAP and its standard error by detector. One with a stage that the times lack is left out and named.
    """
    if inputs.times is None:
        return []
    charts = [
        _chart(inputs, scores, "speed", {name: seconds_per_image(inputs, name) for name in scores}, PER_TEST_IMAGE),
        _chart(inputs, scores, "training", {name: training_minutes(inputs, name) for name in scores}, TRAINING),
    ]
    drawn = [chart for chart in charts if isinstance(chart, Chart)]
    words = [chart for chart in charts if isinstance(chart, Paragraph)]
    return [*([Grid(drawn, "Speed")] if drawn else []), *words]


def _chart(
    inputs: Inputs,
    scores: dict[str, tuple[float, float | None]],
    name: str,
    times: dict[str, float | None],
    about: str,
) -> Chart | Paragraph:
    """Draw mAP against a time; without a time of any detector, the sentences alone."""
    known = {detector: value for detector, value in times.items() if value is not None}
    unknown = [title(detector) for detector in scores if detector not in known]
    words = about + (f" Not every stage of {', '.join(unknown)} has a time." if unknown else "")
    if not known:
        return Paragraph(words)
    unit, axis = ("s", "seconds per image") if name == "speed" else ("min", "minutes of training")
    lines = []
    order = list(inputs.named("plots/pr_*.csv"))  # so that a detector has one colour on the whole page
    for detector, value in known.items():
        score, error = scores[detector][0], scores[detector][1] or 0.0
        label = f"{title(detector)}: {value:.3g} {unit}"
        lines.append(Line(label, [value] * 3, [score - error, score, score + error], order.index(detector)))
    limits = (0, 1.1 * max(known.values()))
    svg = line_chart(name, lines, axis, "VOC07 mAP", x_limits=limits, y_limits=SHARE, size=(4.8, 2.6))
    alt = f"mAP against {axis}. " + "; ".join(f"{line.label}, mAP {line.y[1]:.3f}" for line in lines) + "."
    return Chart(svg, alt, words)


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


def training_minutes(inputs: Inputs, detector: str) -> float | None:
    """Add up the minutes of all stages that read images and lead to a detector's detections, but not image by image.

    None if such a stage has no time.
    """
    assert inputs.times is not None
    times = read_times(inputs.times)
    stages = trainings_of(inputs, f"detections/{detector}")
    if any(stage.name not in times for stage in stages):
        return None
    return sum(times[stage.name].seconds for stage in stages) / 60


def trainings_of(inputs: Inputs, out: str) -> list[Stage]:
    """List the stages that read images and that an output needs, without those of `stages_of`.

    `out` is the end of the output's path.
    """
    image_by_image = stages_of(inputs, out)
    found = {stage.name: stage for stage in image_by_image}
    waiting = list(image_by_image)
    while waiting:
        deps = set(waiting.pop().deps)
        needed = [stage for stage in inputs.stages if stage.name not in found and deps & set(stage.outs)]
        found.update({stage.name: stage for stage in needed})
        waiting += needed
    reads = [stage for stage in found.values() if any(PurePosixPath(dep).parent.name == PREPARED for dep in stage.deps)]
    return [stage for stage in reads if stage not in image_by_image]


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
