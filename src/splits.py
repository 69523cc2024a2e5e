"""The section `splits` of params.yaml: the split that each part of the pipeline uses."""

from src.params import Section


class Splits(Section):
    """The name of the split per part of the pipeline."""

    finetune: str
    detectors: str
    validation: str | None
    train: str
    test: str

    def of_regions(self) -> list[str]:
        """Return the splits whose images need proposals, because R-CNN processes them region by region."""
        return [self.finetune, *([self.validation] if self.validation else []), self.train, self.test]
