from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from src.detection import running
from src.detection.batches import DetectionBatches
from src.detection.running import detect, measure, start
from src.detection.sizes import size_of
from src.files.records import Record
from src.files.shards import Shards
from src.training.loading import Loader
from tests.detectors.test_contract import made
from tests.trained import SIZES, scenes


def test_trained_normalisations_are_not_new_without_their_count_of_batches() -> None:
    module, section, model = made("ssd300")
    weights = model.get_submodule("backbone").state_dict()
    _, fresh = start(module, section, 3, weights, 0)
    assert fresh
    assert not any(name.startswith("backbone.") for name in fresh)
    counts = [name for name in weights if name.endswith("num_batches_tracked")]
    assert counts
    old = {name: value for name, value in weights.items() if name not in counts}
    assert start(module, section, 3, old, 0)[1] == fresh


def test_a_layer_of_the_backbone_whose_weights_do_not_fit_is_new() -> None:
    module, section, model = made("ssd300")
    weights = model.get_submodule("backbone").state_dict()
    name = next(name for name in weights if name.endswith(".weight"))
    _, fresh = start(module, section, 3, {**weights, name: torch.ones(1, 2, 3)}, 0)
    assert f"backbone.{name.removesuffix('.weight')}" in fresh


def test_the_size_of_the_batches_changes_no_detection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, section, model = made("ssd300")
    data, sizes, device = scenes(tmp_path / "voc.zip"), [], torch.device("cpu")
    item = DetectionBatches.__getitem__
    monkeypatch.setattr(
        running.DetectionBatches, "__getitem__", lambda *given: sizes.append(given[0].batch_size) or item(*given)
    )
    one = detect(module, model, section, data, list(SIZES), device, batch_size=1)
    both = detect(module, model, section, data, list(SIZES), device)
    assert sizes == [1, 1, running.BATCH_SIZE]
    for name, record in both.items():
        np.testing.assert_allclose(one[name]["scores"], record["scores"], atol=1e-4)


def test_a_run_that_was_stopped_goes_on_with_the_batches_that_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, section, model = made("ssd300")
    data, parts = scenes(tmp_path / "voc.zip"), Shards(tmp_path / "parts")
    given = module, model, section, data, list(SIZES), torch.device("cpu")
    whole = detect(*given, batch_size=1)
    item, seen = DetectionBatches.__getitem__, []

    def stopping(batches: DetectionBatches, index: int) -> object:
        seen.append(index)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return item(batches, index)

    monkeypatch.setattr(running.DetectionBatches, "__getitem__", stopping)
    with pytest.raises(KeyboardInterrupt):
        detect(*given, batch_size=1, parts=parts)
    found = detect(*given, batch_size=1, parts=parts)
    assert seen == [0, 1, *range(1, len(SIZES))]
    assert list(found) == list(whole)
    for name, record in whole.items():
        for key, value in record.items():
            np.testing.assert_array_equal(found[name][key], value)


def test_processes_that_share_the_batches_find_the_same_with_the_threads_of_this_one(tmp_path: Path) -> None:
    """A product of matrices may add in another order with another number of threads."""
    module, section, model = made("ssd300")
    data, threads = scenes(tmp_path / "voc.zip"), []

    def share(function: Callable[[int], dict[str, Record]], items: range, label: str) -> list[dict[str, Record]]:
        found = []
        for item in items:
            torch.set_num_threads(1)
            found.append(function(item))
            threads.append(torch.get_num_threads())
        return found

    before = torch.get_num_threads()
    given = module, model, section, data, list(SIZES), torch.device("cpu")
    try:
        torch.set_num_threads(2)
        alone = detect(*given, batch_size=1)
        parts = Shards(tmp_path / "parts")
        shared = detect(*given, batch_size=1, share=share, parts=parts)
        assert parts.found() == len(SIZES)
        again = detect(*given, batch_size=1, share=share, parts=parts)  # from the parts alone
    finally:
        torch.set_num_threads(before)
    assert threads == [2] * len(SIZES)
    assert list(again) == list(shared)
    assert list(shared) == list(alone)
    for name, record in alone.items():
        for key, values in record.items():
            assert shared[name][key].tobytes() == values.tobytes()


def test_a_loss_that_chooses_at_random_is_over_the_same_anchors_each_time(tmp_path: Path) -> None:
    """Otherwise `val_loss` of two epochs would differ by the choice, also with the same weights."""
    module, section, model = made("rpn")
    section = section.model_copy(update={"loss": section.loss.model_copy(update={"anchors_per_image": 8})})
    data, found = scenes(tmp_path / "voc.zip"), []
    for seed in (1, 1, 2):
        loader = Loader(DetectionBatches(data, list(SIZES), size_of(section.model), batch_size=1, seed=seed))
        torch.rand(5)
        state = torch.get_rng_state()
        with torch.inference_mode():
            found.append(measure(module, model.eval(), section, loader)["objectness_loss"])
        assert torch.equal(torch.get_rng_state(), state)
    assert found[0] == found[1] != found[2]
