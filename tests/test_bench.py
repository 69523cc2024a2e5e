"""`make bench`: pairs in turns, rows of what cannot be measured, and the page that is generated from the figures."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import (
    against_torchvision,
    arithmetic,
    million,
    regions,
    torchvision_speed,
    two_stage_pair,
    two_stage_race,
)
from benchmarks import all as bench
from benchmarks.average_precision import draw, voc07_aps
from benchmarks.bench_tables import OUT, PAGE, tables, written
from benchmarks.pairs import NO_GPU, OURS, Setting, alone, in_turns, missing, photos, raced, row
from benchmarks.race import Race
from benchmarks.usual_voc_ap import usual_voc_ap

QUICK = Setting(quick=True, rounds=1, images=None)


def part(*rows: dict, **changes: object) -> dict:
    facts = {"processor": "P, family 6 model 207", "cores": 2, "arithmetic": "native", "torch": "2", "commit": "abc"}
    return {
        "rows": rows,
        "error": None,
        "seconds": 1.0,
        "quick": False,
        "photos": False,
        "load": 0.1,
        **facts,
        **changes,
    }


def test_the_page_holds_the_tables_of_the_committed_figures() -> None:
    assert PAGE.read_text() == written(PAGE.read_text(), json.loads(OUT.read_text()))


def test_sides_take_turns_at_going_first() -> None:
    order: list[str] = []
    found = in_turns({name: lambda name=name: float(len(order.append(name) or order)) for name in "abc"}, 3)  # type: ignore[misc, func-returns-value]
    assert "".join(order) == "abccbaabc"
    assert found["a"].tolist() == [1, 6, 7]


def test_a_ratio_is_that_of_each_round() -> None:
    found = row("task", "peer", np.array([1.0, 2.0, 4.0]), np.array([2.0, 2.0, 40.0]))
    assert found["ratio"] == [2.0, 1.0, 10.0]  # median, lowest, highest; that of the medians would be 1
    assert found["ours"] == [2.0, 1.0, 4.0]


def test_each_peer_has_a_row() -> None:
    sides = {OURS: lambda: time.sleep(0.01), "slow": lambda: time.sleep(0.05), "fast": lambda: None}
    slow, fast = raced("task", sides, 2)
    assert (slow["peer"], fast["peer"]) == ("slow", "fast")
    assert slow["ratio"][0] > 1 > fast["ratio"][0]


def test_the_tables_tell_machine_and_load_and_what_is_missing() -> None:
    text = tables(
        {
            "parts": {
                "one": part(row("t", "p", np.array([2.0]), np.array([3.0]), "n"), alone("start", np.array([0.05]))),
                "two": part(missing("t", "p", NO_GPU), quick=True, load=2.5, error="failed: no\nmemory"),
                "growth": part({"stage": "propose", "images": 50, "seconds_per_image": 0.0123, "megabytes": 99}),
            }
        }
    )
    assert "| t | p | 2.00 s (2.00 to 2.00) | 3.00 s (3.00 to 3.00) | 1.50 (1.50 to 1.50) | n |" in text
    assert "| start | - | 50.0 ms (50.0 to 50.0) | - | - |  |" in text
    assert "| t | p | - | - | - | no GPU here |" in text
    assert "| propose | 50 | 12.3 ms | 99 MB |" in text
    assert "`one`, `growth`: P, family 6 model 207, 2 cores" in text
    assert "the parts before included: 2.5 to 2.5." in text
    assert text.count("A quick run") == 1
    assert "`two` failed: no memory" in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_its_rows_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_speed, "_of", lambda *_: iter(()))
    found = list(torchvision_speed.rows(QUICK))
    assert [one["missing"] for one in found] == [NO_GPU] * 2
    monkeypatch.setattr(regions, "raced", lambda *_: iter(()))
    monkeypatch.setattr(regions, "extract", lambda *_, **__: None)
    assert [one["missing"] for one in regions.rows(QUICK)] == [NO_GPU]


def test_the_usual_loop_computes_the_same_ap() -> None:
    detections, targets = draw(30, 20, 3)
    ours = voc07_aps(detections, targets, ["1", "2", "3"])
    np.testing.assert_allclose(usual_voc_ap(detections, targets, 3), ours, atol=1e-12)
    assert np.isnan(usual_voc_ap(detections, targets, 4)[3])


def test_a_part_that_fails_or_takes_too_long_leaves_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(command: list[str], folder: Path, name: str, limit: float) -> dict:
        assert command[:3] == [sys.executable, "-m", "benchmarks.all"]
        return {"seconds": 1.23, "error": "failed: no memory" if name == "svm" else None, "rows": []}

    monkeypatch.setattr(bench, "run_part", failing)
    (tmp_path / "bench.json").write_text(json.dumps({"parts": {"starts": part()}}))
    results = bench.run(["svm", "regions"], QUICK, tmp_path / "bench.json")
    assert results == json.loads((tmp_path / "bench.json").read_text())
    assert list(results["parts"]) == ["regions", "svm", "starts"]  # in the order of the plan
    assert results["parts"]["svm"]["error"] == "failed: no memory"
    assert results["parts"]["svm"]["quick"]


def test_drawn_photos_have_the_size_of_photos_and_their_boxes() -> None:
    with photos(QUICK, 2) as (data, ids):
        assert len(ids) == 2
        assert data.image(ids[0]).shape == (375, 500, 3)
        assert len(data.target(ids[0])["boxes"])


def test_the_processor_is_named_with_family_and_model(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("cpu family\t: 6\nmodel\t\t: 207\nmodel name\t: A\n\ncpu family\t: 7\n")
    assert bench.processor(tmp_path / "cpuinfo") == "A, family 6 model 207"
    assert bench.processor(tmp_path / "none")


def test_each_network_of_the_parameters_takes_a_step() -> None:
    for name, subject in arithmetic.networks(2):
        processor, clock = arithmetic.seconds(subject, 1)
        assert processor > 0 < clock, name


@pytest.mark.parametrize("detector", ["ssd300", "rpn"])
def test_torchvision_s_networks_start_with_our_weights(detector: str) -> None:
    ours, theirs = against_torchvision.pair(detector, 3, {})
    sums = [sum(float(value.detach().double().abs().sum()) for value in net.parameters()) for net in (ours, theirs)]
    assert sums[0] == pytest.approx(sums[1], rel=1e-6)


@pytest.mark.slow
def test_a_quick_run_ends_in_two_minutes_without_an_error(tmp_path: Path) -> None:
    start = time.monotonic()
    results = bench.run(list(bench.PARTS), QUICK, tmp_path / "bench.json")
    assert {name: made["error"] for name, made in results["parts"].items()} == dict.fromkeys(bench.PARTS)
    assert time.monotonic() - start < 120
    assert tables(results).count("|---|---|") == 2


def test_the_shards_of_the_simulation_have_each_image_once_in_another_order_each_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(million, "SHARD", 10)
    shards = million.made(25)
    orders = [[shards.firsts[s] + row for s, rows in million.order(shards, 0, e) for row in rows] for e in (0, 0, 1)]
    assert sorted(orders[0]) == list(range(25))
    assert orders[0] == orders[1] != orders[2]
    assert [part.tolist() for part in million.place(shards, np.array([0, 9, 10, 24]))] == [[0, 0, 1, 2], [0, 9, 0, 4]]
    assert sorted(million.find(shards, shards.hashes)) == list(range(25))


@pytest.mark.parametrize("name", million.PARTS)
def test_a_row_of_the_simulation_is_measured(name: str, tmp_path: Path) -> None:
    kind, _, reads = name.partition(",")
    if reads:
        list(million.PARTS[kind][0](1000, tmp_path))
    assert all(seconds >= 0 for _, seconds in million.PARTS[name][0](1000, tmp_path))


@pytest.mark.parametrize("name", ["fast_rcnn", "faster_rcnn"])
def test_both_networks_of_the_two_stage_race_start_with_the_same_values(name: str) -> None:
    module, section = two_stage_pair.chosen(Path("params.yaml"), name)
    ours = two_stage_pair.Ours(module, section, num_classes=5)
    theirs = two_stage_pair.Theirs(ours, num_classes=5)
    values, compared = list(ours.parameters()), 0
    for key, value in theirs.net.named_parameters():
        if not key.startswith("rpn.") or name == "faster_rcnn":
            same = value[4:] if key.startswith("roi_heads.box_predictor.bbox_pred") else value  # without background's
            assert any(same.shape == own.shape and torch.equal(same, own) for own in values), key
            compared += 1
    assert compared == len(values)


def test_layers_that_stand_still_in_ours_do_so_in_torchvision_s_network() -> None:
    module, section = two_stage_pair.chosen(Path("params.yaml"), "faster_rcnn")
    section = section.model_copy(update={"model": section.model.model_copy(update={"freeze": 2})})
    ours = two_stage_pair.Ours(module, section, num_classes=5)
    theirs = two_stage_pair.Theirs(ours, num_classes=5)
    counts = [sum(not value.requires_grad for value in net.train().parameters()) for net in (ours, theirs)]
    assert counts == [6, 6]  # two convolutions without bias, and two BatchNorms


def test_the_rate_of_a_race_falls_to_zero_along_a_cosine() -> None:
    nets = [torch.nn.Linear(1, 1)]
    for cosine, share in ((None, 1.0), (100, 0.5), (50, 0.0)):
        race = Race(nets, lr=0.1, cosine=cosine)
        assert race.rate(50) == pytest.approx(0.1 * share)
        assert race.rate(0) == pytest.approx(0.1 / 20)


def test_the_difference_over_seeds_has_two_errors() -> None:
    results = [
        {"seed": seed, "ours": {"map_voc07": ours}, "torchvision": {"map_voc07": 0.5}}
        for seed, ours in ((0, 0.4), (1, 0.6))
    ]
    differences = [{"ours": np.array([-0.2, -0.1, 0.0])}, {"ours": np.array([0.2, 0.1, 0.0])}]
    assert two_stage_race.over_seeds(results, differences) == {
        "seeds": [0, 1],
        "ours": {
            "map_voc07": 0.5,
            "difference": 0.0,
            "error_by_seeds": 0.1,  # the deviation of two seeds, divided by the root of two
            "error_by_test_images": 0.0,  # the seeds cancel out in each resample
        },
        "torchvision": {"map_voc07": 0.5},
    }
