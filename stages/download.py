"""Put the archives of a data set into one folder: published ones, the user's own, or drawn ones."""

from pathlib import Path
from typing import Any

from src import plugins
from src.files.storage import make_folder
from src.ingest.archives import open_archive, store
from src.ingest.source import local
from src.params import Sections, Seed
from stages.command import command
from stages.environment import jobs


class Params(Sections):
    """The sections that this stage reads; of `data` it uses only the data set's own part."""

    sample_seed: Seed
    data: dict[str, Any]


def run(params: Params, *, dataset: str, out: Path) -> None:
    """Put the files of the chosen source into `out`, and only then remove the files that another source left there."""
    module, section = plugins.section("datasets", params.data, dataset)
    make_folder(out)
    if section.source == "local":
        source = local(f"data.{dataset}.path", section.path, out)
        kept = [store(source, out, "local")]
        if note := open_archive(source if source.is_dir() else kept[0]).hidden():  # the copy of a folder has none
            print(note)
    else:
        kept = module.fetch(section, out, seed=params.sample_seed, jobs=jobs())
    for path in sorted(set(out.iterdir()) - set(kept)):
        path.unlink(missing_ok=True)
    print(f"{dataset}: {', '.join(path.name for path in kept)}")


if __name__ == "__main__":
    command(run)
