"""The archives of a data set, as they are published, given or drawn, in one folder."""

from pathlib import Path

from src.archives import store
from src.datasets import voc
from src.datasets.voc_params import Data
from src.download import download
from src.drawn import voc as drawn_voc
from src.errors import InputError
from src.params import Sections, Seed
from stages.command import command
from stages.environment import jobs

REMEDY = (
    "run again to resume where it stopped, or fetch the files by other means, unpack them into one folder, and set "
    "data.voc.source to local and data.voc.path to that folder"
)


class Params(Sections):
    """What this stage reads of params.yaml."""

    seed: Seed  # of the sample
    data: Data


def run(params: Params, *, dataset: str, out: Path) -> None:
    """Put the archives of the source in use into `out`; then, and only then, remove what another source left there."""
    out.mkdir(parents=True, exist_ok=True)
    kept = {"voc": _voc}[dataset](params, out)
    for path in sorted(set(out.iterdir()) - set(kept)):
        path.unlink()
    print(f"{dataset}: {', '.join(path.name for path in kept)}")


def _voc(params: Params, out: Path) -> list[Path]:
    section = params.data.voc
    if section.source == "local":
        return [store(_local(section.path, out), out, "local")]
    if section.source == "sample":
        drawn = out / "sample.tar"
        drawn_voc.draw(drawn, section.sample.model_dump(), params.seed, jobs())
        return [drawn]
    files = [(year, name) for year in sorted(section.years) for name in voc.OFFICIAL[year]]
    for year, name in files:
        urls = [mirror.format(year=year, name=name) for mirror in voc.MIRRORS]
        download(urls, out / name, checksum=voc.OFFICIAL[year][name], remedy=REMEDY)
    return [out / name for _, name in files]


def _local(value: str | None, out: Path) -> Path:
    path = Path(value or "")
    if not path.exists():
        raise InputError(
            f"data.voc.path = {value}: there is no such file or folder (a relative path counts from the repository's "
            "root, which is another one under `dvc exp run --temp`: give an absolute path)"
        )
    inner, outer = path.resolve(), out.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise InputError(f"data.voc.path = {value} overlaps {out}, which this stage clears: keep your data elsewhere")
    return path


if __name__ == "__main__":
    command(run)
