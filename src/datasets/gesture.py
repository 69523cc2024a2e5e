"""Hand gestures in the form of handpose_x_gesture_v1, or any set of images with one folder per class."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from src.files.prepared import DataSet
from src.ingest import class_folders
from src.ingest.archives import open_archive
from src.ingest.drawn import gesture as drawn
from src.ingest.source import Source
from src.ingest.splitting import Split, cut, limited
from src.params import Count, Section

TASK = "labels"


class Sample(Section):
    """The size of the drawn sample."""

    per_class: Annotated[Count, Field(le=100_000)]
    people: Count


class Params(Source):
    """The origin of the images, their split, and the number of training images."""

    LAYOUT: ClassVar[str] = "with one folder of images per class"

    split: Split
    limit: Count | None
    sample: Sample

    @model_validator(mode="after")
    def _not_public(self) -> "Params":
        if self.source == "official":
            raise ValueError(
                "source is official, but handpose_x_gesture_v1 is on a private share and cannot be downloaded: get it "
                "from its author, set source to local and path to the folder, zip or tar with one folder per class"
            )
        return self


def fetch(section: Params, out: Path, *, seed: int, jobs: int) -> list[Path]:
    """Draw the sample as one tar."""
    drawn.draw(out / "sample.tar", section.sample.per_class, section.sample.people, seed)
    return [out / "sample.tar"]


def prepare(raw: Path, section: Params, jobs: int) -> DataSet:
    """Read the images of the one archive in `raw`, and split them by their paths in it; print what was passed over."""
    (path,) = raw.iterdir()
    archive = open_archive(path, section.shown(path))
    folders = class_folders.read(archive)
    print("".join(f"{note}\n" for note in folders.notes), end="")
    splits = cut(folders.labels, section.split, "data.gesture.split")
    seed = section.split.seed
    splits["train"] = limited(splits["train"], folders.labels, section.limit, seed, "data.gesture.limit")
    return class_folders.checked(archive, folders, splits, jobs)
