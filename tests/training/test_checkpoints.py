"""Every kind of broken state of a training is set aside, and the training ends as an uninterrupted one."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from src.errors import InputError
from src.training import checkpoints
from tests.files.test_room import leave
from tests.training.test_loop import SETTINGS, assert_same, batches, fit, losses, network, state

fabric = Fabric(accelerator="cpu", devices=1)


class Code:
    """Something that runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch taken_over",)


def flipped(content: bytes) -> bytes:
    """Flip a bit of the network's weights, which are stored as they are in memory."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        tensor = max((entry for entry in archive.infolist() if "/data/" in entry.filename), key=lambda e: e.file_size)
        place = content.index(archive.read(tensor))
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def saved(what: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(what, buffer)
    return buffer.getvalue()


def foreign(content: bytes) -> bytes:
    return saved({**torch.load(io.BytesIO(content)), "model": torch.nn.Linear(2, 2).state_dict()})


def other_training(content: bytes) -> bytes:
    return saved({**torch.load(io.BytesIO(content)), checkpoints.OWNER: "rpn-0123456789abcdef"})


def compressed(_: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    return buffer.getvalue()


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda content: content[: len(content) // 2],
    "one byte less": lambda content: content[:-1],
    "zeros": lambda content: bytes(len(content)),
    "text": lambda _: b"not a checkpoint\n" * 99,
    "a flipped bit": flipped,
    "another network": foreign,
    "another training": other_training,
    "no state": lambda _: saved([1, 2]),
    "code": lambda _: saved({"model": Code()}),
    "code without a zip": lambda _: pickle.dumps(Code()),
    "compressed": compressed,
}


def interrupted(checkpoint: Path, epoch: int) -> None:
    def killed(model: torch.nn.Module, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        if batch["ids"] == [f"{epoch}-1"]:
            raise KeyboardInterrupt
        return losses(model, batch)

    with pytest.raises(KeyboardInterrupt):
        fit(fabric, network(), batches, killed, SETTINGS.model_copy(update={"best_by": "last"}), checkpoint=checkpoint)


def resumed(checkpoint: Path | None) -> tuple[list[int], dict[str, torch.Tensor]]:
    """Return the epochs that ran, and the weights."""
    asked: list[int] = []

    def counted(epoch: int) -> list[dict[str, Any]]:
        asked.append(epoch)
        return batches(epoch)

    net = network()
    fit(fabric, net, counted, losses, SETTINGS.model_copy(update={"best_by": "last"}), checkpoint=checkpoint)
    return asked, state(net)


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_state_is_set_aside_and_the_one_before_resumes(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint = tmp_path / "state.pt"
    interrupted(checkpoint, 3)
    checkpoint.write_bytes(BROKEN[kind](checkpoint.read_bytes()))
    asked, weights = resumed(checkpoint)
    assert asked == [2, 3, 4]
    assert_same(weights, resumed(None)[1])
    said = capsys.readouterr().err.splitlines()
    (line,) = (line for line in said if "set aside" in line)
    assert line.startswith(f"{checkpoint} cannot be resumed from (")
    assert line.endswith("it is set aside as state.damaged.pt, and training goes on from the epoch before")
    assert resumed(checkpoint)[0] == []  # the next run does not meet the broken file again
    assert not (tmp_path / "taken_over").exists()
    checkpoints.forget(checkpoint)
    assert not list(tmp_path.iterdir())


def test_two_broken_states_begin_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = tmp_path / "state.pt"
    interrupted(checkpoint, 3)
    for file in (checkpoint, checkpoints.before(checkpoint)):
        file.write_bytes(foreign(file.read_bytes()))
    asked, weights = resumed(checkpoint)
    assert asked == [0, 1, 2, 3, 4]
    assert_same(weights, resumed(None)[1])
    assert capsys.readouterr().err.count("begins anew") == 1


def test_a_kill_between_the_two_renames_loses_no_more_than_an_epoch(tmp_path: Path) -> None:
    checkpoint = tmp_path / "state.pt"
    interrupted(checkpoint, 3)
    checkpoint.unlink()
    assert resumed(checkpoint)[0] == [2, 3, 4]


def test_a_pipe_in_the_place_of_a_state_is_not_waited_for(tmp_path: Path) -> None:
    checkpoint = tmp_path / "state.pt"
    os.mkfifo(checkpoint)
    assert resumed(checkpoint)[0] == [0, 1, 2, 3, 4]


def test_too_little_memory_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = tmp_path / "state.pt"
    interrupted(checkpoint, 2)

    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("GPU")

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(torch.OutOfMemoryError):
        resumed(checkpoint)
    assert checkpoint.exists()


def wide() -> nn.Module:
    """A network whose weights are most of a state."""
    return nn.Sequential(nn.Linear(3, 300), nn.BatchNorm1d(300), nn.Linear(300, 300), nn.Linear(300, 1))


@pytest.mark.parametrize("ema_decay", [None, 0.9])
@pytest.mark.parametrize("best_by", ["last", "val"])
@pytest.mark.parametrize("optimizer", sorted(checkpoints.MOMENTS))
def test_a_training_whose_states_would_not_fit_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str, best_by: str, ema_decay: float | None
) -> None:
    """The estimate is compared with the states that a training really writes."""
    changes = {"optimizer": optimizer, "best_by": best_by, "ema_decay": ema_decay, "epochs": 3, "lr": 1e-4}
    settings, checkpoint = SETTINGS.model_copy(update=changes), tmp_path / "state.pt"
    needed: list[float] = []
    monkeypatch.setattr(checkpoints.room, "disk", lambda _, bytes_needed, *__: needed.append(bytes_needed))

    def trained() -> None:
        fit(fabric, wide(), batches, losses, settings, checkpoint=checkpoint, validate=lambda _: [("val", 1.0)])

    trained()
    written = checkpoint.stat().st_size
    assert needed[0] / 3 == pytest.approx(written, rel=0.05)
    assert checkpoints.before(checkpoint).stat().st_size == pytest.approx(written, rel=0.01)
    trained()  # two of the states are there by now
    assert needed[1] == needed[0] - sum(file.stat().st_size for file in tmp_path.iterdir())
    monkeypatch.undo()
    checkpoints.forget(checkpoint)
    leave(monkeypatch, int(needed[0]) - 1)
    with pytest.raises(InputError, match=r"needs .* for three states of the training state and has .* free: make room"):
        trained()
    assert not list(tmp_path.iterdir())
