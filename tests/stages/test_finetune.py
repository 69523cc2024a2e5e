import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from commands.write_deps import ROOT
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.records import Record, write_records
from src.files.weights import read_tensors, write_tensors
from src.params import read_params, validated
from src.rcnn import network
from src.rcnn.finetune_settings import Finetune
from src.rcnn.warp import Warp
from src.training.settings import TrainOverrides
from stages.finetune import Params, run
from tests.rcnn.conftest import images, proposals  # noqa: F401 (fixtures)


def params(epochs: int, **more: bool | int) -> Params:
    found = read_params(ROOT / "params.yaml", Params)
    train = TrainOverrides(epochs=epochs, batch_size=4, batches_per_epoch=1)
    changes = {"hidden": 8, "train": train, **more}
    return found.model_copy(
        update={
            "finetune": found.finetune.model_copy(update=changes),
            "splits": found.splits.model_copy(update={"finetune": "train", "validation": None}),
            "warp": Warp(size=63, context=4),
        }
    )


@pytest.fixture
def start(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    model = network.build("alexnet", 1000, pool=1, hidden=8)
    write_tensors(tmp_path / "start.safetensors", model.state_dict(), {"source": "test"})
    return tmp_path / "start.safetensors"


@pytest.fixture
def finetuned(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    start: Path,
    images: BoxedImages,  # noqa: F811
    proposals: dict[str, Record],  # noqa: F811
) -> Callable[[Params], dict[str, Path]]:
    """Run the stage; returns where its outputs are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEVICE", "cpu")
    write_records(tmp_path / "proposals.npz", proposals)
    out = {name: tmp_path / name for name in ("out", "metrics", "curve")}

    def finetuned(chosen: Params) -> dict[str, Path]:
        run(chosen, images=images.path, proposals=tmp_path / "proposals.npz", weights=start, **out)
        return out

    return finetuned


Finetuned = Callable[[Params], dict[str, Path]]


@pytest.mark.parametrize("more", [{}, {"map_side": 64}])
def test_convolutions_that_are_not_trained_keep_their_weights_and_the_others_learn(
    finetuned: Finetuned, start: Path, tmp_path: Path, more: dict[str, int]
) -> None:
    out = finetuned(params(1, train_convolutions=False, **more))["out"]
    before, after = read_tensors(start)[0], read_tensors(out)[0]
    for name, value in after.items():
        if not name.startswith("classifier.6"):
            assert value.equal(before[name]) == name.startswith("features"), name
    assert not list((tmp_path / ".checkpoints").glob("*"))  # the features neither


def test_maps_are_refused_for_convolutions_that_learn() -> None:
    section = read_params(ROOT / "params.yaml", Params).finetune.model_dump(exclude_unset=True)
    with pytest.raises(InputError, match="map_side needs train_convolutions: false"):
        validated({**section, "map_side": 600}, Finetune, "finetune")


@pytest.mark.parametrize("epochs", [0, 1])
def test_without_epochs_the_network_stays_as_it_starts(
    finetuned: Finetuned, start: Path, tmp_path: Path, epochs: int
) -> None:
    out = finetuned(params(epochs))
    before, after = read_tensors(start)[0], read_tensors(out["out"])[0]
    assert after["features.0.weight"].equal(before["features.0.weight"]) == (epochs == 0)
    assert after["classifier.6.weight"].shape == (3, 8)  # fc8 is new in either case
    assert json.loads(out["metrics"].read_text())["epoch"] == epochs
    assert len(pd.read_csv(out["curve"])) == epochs
    assert not list((tmp_path / ".checkpoints").glob("*"))


def test_mixed_precision_computes_otherwise_and_keeps_whole_weights(finetuned: Finetuned) -> None:
    whole = params(1)
    mixed = whole.model_copy(update={"train": whole.train.model_copy(update={"precision": "bf16-mixed"})})
    first, second = (read_tensors(finetuned(chosen)["out"])[0] for chosen in (whole, mixed))
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in second.values())
    assert not second["classifier.6.weight"].equal(first["classifier.6.weight"])
    torch.testing.assert_close(second["classifier.6.weight"], first["classifier.6.weight"], atol=0.02, rtol=0)
