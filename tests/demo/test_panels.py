import re

import numpy as np
import pytest
import torch

from src.demo.panels import ClassifierPanel, DensePanel, Panel, RcnnPanel
from tests.trained import scene

IMAGE = scene(90, 120)
Panels = dict[str, Panel | str]


def test_a_method_whose_model_is_missing_is_a_sentence(panels: Panels) -> None:
    assert panels["resnet50"] == (
        "models/resnet50.safetensors is missing: run `dvc repro train_classifier@resnet50`, which makes it."
    )
    assert [type(panel) for panel in panels.values()] == [RcnnPanel, *[DensePanel] * 4, ClassifierPanel, str]


def test_sliders_change_the_pictures_without_another_pass(panels: Panels, monkeypatch: pytest.MonkeyPatch) -> None:
    rcnn, ssd = panels["rcnn"], panels["ssd300"]
    assert isinstance(rcnn, RcnnPanel)
    assert isinstance(ssd, DensePanel)
    looks = rcnn.look(IMAGE, "x"), ssd.look(IMAGE, "x")
    monkeypatch.setattr(torch.nn.Conv2d, "forward", None)
    proposals, before, after = (len(view.record["boxes"]) for view in rcnn.views(looks[0], 5, -3.0, 0.3))
    assert proposals == 5
    assert before >= after > 0
    assert all(len(view.record["boxes"]) == 0 for view in rcnn.views(looks[0], 0, 99.0, 0.3))
    low, high = (ssd.views(looks[1], thresh, 0.45)[0].record for thresh in (0.0, 1.0))
    assert len(low["boxes"]) > len(high["boxes"]) == 0


def test_before_nms_every_class_of_every_proposal_above_the_threshold_is_shown(panels: Panels) -> None:
    rcnn = panels["rcnn"]
    assert isinstance(rcnn, RcnnPanel)
    look = rcnn.look(IMAGE, "x")
    before = rcnn.views(look, 5, 0.0, 0.3)[1].record
    assert len(before["boxes"]) == (look.raw.scores > 0).sum()


def test_the_sliders_begin_at_the_pipelines_own_nms(panels: Panels) -> None:
    for panel in panels.values():
        if isinstance(panel, RcnnPanel | DensePanel):
            values = [control.value for control in panel.controls]
            views = panel.views(panel.look(IMAGE, "x"), *values)
            assert all(control.least <= control.value <= control.most for control in panel.controls)
            assert all(np.isfinite(view.record["boxes"]).all() for view in views)


def test_the_totals_are_those_before_the_choice_and_not_the_pipelines_limits(panels: Panels) -> None:
    rcnn, ssd = panels["rcnn"], panels["ssd300"]
    assert isinstance(rcnn, RcnnPanel)
    assert isinstance(ssd, DensePanel)
    look = rcnn.look(IMAGE, "x")
    totals = [view.total for view in rcnn.views(look, 5, 0.0, 0.3)]
    assert totals == [len(look.raw.boxes), look.raw.scores.size, (look.raw.scores > 0).sum()]
    view = ssd.views(ssd.look(IMAGE, "x"), 0.0, 1.0)[0]
    assert view.total == len(view.record["boxes"]) > ssd.method.section.decode.max_per_image


def test_a_classifier_gives_its_classes_by_name(panels: Panels) -> None:
    panel = panels["mobilenet_v3"]
    assert isinstance(panel, ClassifierPanel)
    look = panel.look(IMAGE, "x")
    assert list(look.raw) == [str(number) for number in range(10)]
    assert sum(look.raw.values()) == pytest.approx(1)
    assert re.fullmatch(r"network \d+ ms", look.times())
