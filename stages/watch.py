"""Look whether the user's own data have changed: DVC runs this stage every time, and `download` only after a change.

DVC cannot depend on a path that only some users have, so the output holds the state of each path: a hash of the names,
sizes and times of change of its files. No file is read, so a large set takes no time.

It also looks for the cluster that the environment names: a later stage would do so after DVC has removed its outputs.
"""

from pathlib import Path

from src.files.storage import atomic, make_folder
from src.ingest.source import resolved, state
from src.params import Sections
from stages.command import command
from stages.environment import scheduler


class Place(Sections):
    """The place of a data set: two keys of its section."""

    source: str
    path: str | None


class Params(Sections):
    """The section that this stage reads; of each data set only `Place`."""

    data: dict[str, Place]


def run(params: Params, *, out: Path) -> None:
    """Write a file for each data set into `out`; its content changes only if the user's own data there do."""
    if scheduler() is not None:
        from stages.cluster import cluster  # here, not above: this stage runs every time

        cluster()  # an `InputError` if it does not answer or cannot serve this run
    make_folder(out)
    for name, place in params.data.items():
        own = place.path is not None and resolved(place.source, place.path) == "local"
        with atomic(out / name) as path:
            path.write_text(f"{state(str(place.path)) if own else 'not local'}\n")


if __name__ == "__main__":
    command(run)
