"""The section `data.voc` of params.yaml."""

from typing import Literal

from pydantic import model_validator

from src.params import Count, Section


class SampleSizes(Section):
    """Images that are drawn for each split of the sample."""

    train: Count
    val: Count
    test: Count
    extra: Count


class Voc(Section):
    """Where the Pascal VOC images come from, and what is kept of them."""

    source: Literal["sample", "official", "local"]
    path: str | None
    years: list[Literal[2007, 2012]]
    classes: list[str] | None
    other_classes: Literal["drop", "error"]
    limit: Count | None
    sample: SampleSizes

    @model_validator(mode="after")
    def _complete(self) -> "Voc":
        if self.source == "local" and self.path is None:
            raise ValueError("source is local, so path must name a tar, a zip or a folder in the VOC layout")
        if self.source == "official" and 2007 not in self.years:
            raise ValueError("years must hold 2007, the only year whose test annotations are public")
        if self.classes is not None and (not self.classes or len(set(self.classes)) < len(self.classes)):
            raise ValueError("classes must be null or a list of different names")
        return self


class Data(Section):
    """The section `data`: one part a data set."""

    voc: Voc
