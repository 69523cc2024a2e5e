"""The archives of a data set, as they are published, given or drawn, in one folder."""

from pathlib import Path
from typing import Any

from src import plugins
from src.ingest.archives import store
from src.ingest.source import local
from src.params import Sections, Seed
from stages.command import command
from stages.environment import jobs


class Params(Sections):
    """What this stage reads of params.yaml; of `data` the data set's own section."""

    sample_seed: Seed
    data: dict[str, Any]


def run(params: Params, *, dataset: str, out: Path) -> None:
    """Put the files of the source in use into `out`; then, and only then, remove what another source left there."""
    module, section = plugins.section("datasets", params.data, dataset)
    out.mkdir(parents=True, exist_ok=True)
    if section.source == "local":
        kept = [store(local(f"data.{dataset}.path", section.path, out), out, "local")]
    else:
        kept = module.fetch(section, out, seed=params.sample_seed, jobs=jobs())
    for path in sorted(set(out.iterdir()) - set(kept)):
        path.unlink()
    print(f"{dataset}: {', '.join(path.name for path in kept)}")


if __name__ == "__main__":
    command(run)
