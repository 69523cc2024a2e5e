"""The section `splits` of params.yaml: the split that each part of the pipeline uses."""

from src.params import Section


class Splits(Section):
    """Names of the splits that each part sees."""

    finetune: str
    detectors: str
    validation: str | None
    train: str
    test: str

    def of_regions(self) -> list[str]:
        """Those whose images R-CNN looks at, region by region: they need proposals."""
        return [self.finetune, *([self.validation] if self.validation else []), self.train, self.test]
