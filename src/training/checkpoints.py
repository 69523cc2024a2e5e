"""The state of a training on disk: checked before it is used, and the one before is kept.

A checkpoint is the zip that `torch.save` writes, which has a CRC-32 of each of its entries. PyTorch writes these sums
and does not look at them when it reads, so `load` does. A file is set aside if it is damaged, of another training, or
would run code: training then resumes from the one before, or begins anew.
"""

import os
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from src.files import room
from src.files.storage import atomic
from src.training.settings import Train

Content = Mapping[str, Any]
OWNER = "checkpoint of"  # key of the name of the training in the file
MOMENTS = {"sgd": 1, "adam": 2, "adamw": 2, "adabelief": 2, "ranger": 3}  # arrays that an optimizer keeps per weight


def before(path: Path) -> Path:
    """Return the file of the state one epoch earlier."""
    return path.with_name(f"{path.stem}.before{path.suffix}")


def damaged(path: Path) -> Path:
    """Return the file to which a state that cannot be used is moved; the next one replaces it."""
    return path.with_name(f"{path.stem}.damaged{path.suffix}")


def check_room(path: Path, model: nn.Module, settings: Train, copies: int) -> None:
    """Raise an `InputError`, before a training, if the disk has too little space for its states.

    While a state is written, the two before it are still there.

    Args:
        path: the file of the newest state. What it and the file before take by now is free for the new ones.
        model: the network.
        settings: `optimizer`.
        copies: of the network's tensors in a state: the weights, those of the best epoch, the averaged ones.
    """
    tensors = sum(value.nbytes for value in model.state_dict().values())
    moments = MOMENTS[settings.optimizer] * sum(value.nbytes for value in model.parameters() if value.requires_grad)
    files = (path, before(path))
    needed = (len(files) + 1) * (copies * tensors + moments) - sum(
        file.stat().st_size for file in files if file.is_file()
    )
    room.disk(path.parent, max(needed, 0), f"three states of the training {path.stem}")


def save(path: Path, content: Content) -> None:
    """Write a state; the one that `path` held is then at `before(path)`. A kill at any moment leaves one of them."""
    with atomic(path) as temporary:
        with temporary.open("wb") as file:  # a file of ours: PyTorch's own tells nothing about a full disk
            torch.save({OWNER: path.stem, **content}, file)
        if path.exists():
            os.replace(path, before(path))


def load(path: Path, restore: Callable[[Content], None], initial: Content) -> Path | None:
    """Restore the newest state that is whole.

    Args:
        path: the file of the newest state; it need not exist.
        restore: puts a state into the training; it may fail for the state of another network.
        initial: the state at the start, restored if `restore` fails halfway.

    Returns:
        the file of the restored state, or None if there is none. Files that cannot be used are moved to
        `damaged(path)`, and one sentence per file on stderr says why.

    Raises:
        MemoryError, torch.OutOfMemoryError: the machine has too little memory; no file is moved for that.
    """
    for file in (path, before(path)):
        if not os.path.lexists(file):
            continue
        try:
            restore(_read(file, path.stem))
            return file
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever a file holds, it must not end each later run of this training
            restore(initial)
            os.replace(file, damaged(path))
            reason = (str(error).splitlines() or [""])[0] or type(error).__name__
            print(
                f"{file} cannot be resumed from ({reason}): it is set aside as {damaged(path).name}, and training "
                f"{'goes on from the epoch before' if file == path and before(path).is_file() else 'begins anew'}",
                file=sys.stderr,
            )
    return None


def forget(path: Path) -> None:
    """Remove the states of a training, also one that was set aside."""
    for file in (path, before(path), damaged(path)):
        file.unlink(missing_ok=True)


def _read(path: Path, owner: str) -> Content:
    """Read a state; any error if the file is no checkpoint, is damaged, or belongs to another training."""
    if not path.is_file():  # to open a pipe would wait for ever
        raise ValueError("it is no file")
    try:
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("it is compressed, and no checkpoint is")
            wrong = archive.testzip()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"it is cut, damaged or no checkpoint: {error}") from None
    if wrong is not None:
        raise ValueError(f"it is damaged: the checksum of {wrong} differs")
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or content.get(OWNER) != owner:
        raise ValueError("it is the state of another training")
    return content
