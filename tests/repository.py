"""A small copy of this repository, with its own git and DVC, in which the pipeline has run once.

The run takes minutes, so all tests of a session share it: the first process that needs it makes it, the others wait. A
test works in a copy of it, whose large files are hard links.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

from ruamel.yaml import YAML

from commands.write_deps import ROOT
from stages import arithmetic

SMALL = {
    "data.voc.sample": {"train": 10, "val": 4, "test": 6, "extra": 5},
    "data.gesture.sample": {"per_class": 6, "people": 6},
    "data.mnist.limit": 60,
    "selective_search.max_proposals": 40,
    "train.epochs": 1,
    "pretrain_alexnet.train.batch_size": 32,
    "train.batch_size": 32,
    "finetune.train.epochs": 1,
    "finetune.train.batches_per_epoch": 2,
    "finetune.hidden": 16,
    "train_svm.first_negatives": 50,
    "train_svm.rounds": 1,
    "detectors.ssd300.train": {"epochs": 1, "batch_size": 5},
    "detectors.rpn.train": {"epochs": 1, "batch_size": 5},
    "detectors.fast_rcnn.train": {"epochs": 1, "batch_size": 5},
    "detectors.faster_rcnn.train": {"epochs": 1, "batch_size": 5},
    "classifiers.mobilenet_v3.train": {"epochs": 1, "batch_size": 10},
    "classifiers.resnet50.train": {"epochs": 1, "batch_size": 10},
}
HERE = (".dvc/", "commands/", "docs/results/", "profiles/", "src/", "stages/")  # the folders that are copied
FILES = (".dvcignore", ".gitignore", "dvc.yaml", "params.yaml", "requirements.txt")


class Repository:
    """A folder under git and DVC, and the commands that a user types there.

    `commands` is a folder of commands that come before those of this Python, such as that of tests/forked.py.
    """

    def __init__(self, path: Path, commands: Path | None = None) -> None:
        self.path, self.commands = path, commands

    def __call__(self, *command: str, fails: bool = False, **variables: str) -> str:
        """Run a command, which must succeed or, with `fails`, must fail; return its output.

        Unless `variables` say otherwise, a stage uses one process with one thread and no worker: with the few images
        here, a second one costs more than it saves. The pinned arithmetic needs two threads, so it is off.
        """
        alone = {"ARITHMETIC": "native", "OMP_NUM_THREADS": "1", "JOBS": "1", "WORKERS": "0"}
        # Those of tests/forked.py have loaded their libraries with the variables of this pinned process.
        inherited = dict(os.environ) if self.commands else arithmetic.unpinned()
        environment = {**inherited, "PYTHONPATH": "", **alone, **variables}
        folders = [*([self.commands] if self.commands else []), Path(sys.executable).parent, environment["PATH"]]
        environment["PATH"] = ":".join(map(str, folders))
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # otherwise each of 44 stages would compile the library again
        done = subprocess.run(command, cwd=self.path, capture_output=True, text=True, env=environment)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def change(self, key: str, value: object, *, new: bool = False) -> None:
        """Set a parameter; with `new`, it must not exist yet, and otherwise it must."""
        yaml = YAML()
        content = yaml.load((self.path / "params.yaml").read_text())
        *parts, last = key.split(".")
        section = content
        for part in parts:
            section = section[part]
        assert (last in section) != new
        section[last] = value
        with (self.path / "params.yaml").open("w") as file:
            yaml.dump(content, file)

    def commit(self) -> None:
        """Commit all changes."""
        self("git", "add", "-A")
        self("git", "commit", "-qm", "state", "--allow-empty")

    def stale(self) -> set[str]:
        """Return the stages that `dvc repro` would run at once; later stages follow if an output's bytes change.

        The report is left out, because it depends on all parameters and outputs, and so follows every change, and
        `watch`, which always runs. DVC is called in this process, because a separate process would take twice as long.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # DVC warns about its own libraries
            from dvc.repo import Repo

            with Repo(str(self.path)) as repo:
                return {name.rpartition(":")[2] for name in repo.status()} - {"report", "watch"}  # no path


def small(path: Path, commands: Path | None = None) -> Repository:
    """Copy the files of this repository to an empty folder, for few images and short trainings; nothing has run yet."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    for name in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split():
        if name.startswith(HERE) or name in FILES:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes((ROOT / name).read_bytes())
    repository = Repository(path, commands)
    for key, value in SMALL.items():
        repository.change(key, value)
    repository("git", "init", "-q")
    for key, value in (("user.name", "t"), ("user.email", "t@example.org")):
        repository("git", "config", key, value)
    repository.commit()
    return repository


def made(shared: Path, commands: Path | None = None) -> Repository:
    """Make the repository after a run, in a folder that all processes of a session share; no test may change it."""
    path, done = shared / "made", shared / "made.done"
    with (shared / "made.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(path, ignore_errors=True)
            repository = small(path, commands)
            repository("dvc", "repro")
            repository.commit()
            done.touch()
    return Repository(path, commands)


def copied(repository: Repository, path: Path) -> Repository:
    """Copy a repository. Outputs are hard links, because DVC and the stages replace files and never write into them."""

    def copy(source: str, target: str) -> None:
        name = Path(source).relative_to(repository.path).as_posix()
        if name.startswith((".dvc/cache/", "data/", "models/")):
            os.link(source, target)
        else:
            shutil.copy2(source, target)

    ignored = shutil.ignore_patterns("tmp")  # .dvc/tmp holds the locks
    shutil.copytree(repository.path, path, copy_function=copy, dirs_exist_ok=True, ignore=ignored)
    return Repository(path, repository.commands)
