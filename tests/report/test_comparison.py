from src.report.blocks import Grid
from src.report.comparison import IMAGES, section
from src.report.inputs import Inputs, title


def test_each_strip_is_one_image_through_every_method(inputs: Inputs) -> None:
    strips = [block for block in section(inputs).blocks if isinstance(block, Grid)]
    assert len(strips) == IMAGES
    for strip in strips:
        assert [picture.caption.split(":")[0].split(",")[0] for picture in strip.blocks] == [
            "Ground-truth boxes",
            "selective search",
            "RPN",
            *(title(name) for name in inputs.detections),
        ]
        assert len({picture.size for picture in strip.blocks}) == 1


def test_proposals_without_ranks_are_not_called_the_first(inputs: Inputs) -> None:
    strip = next(block for block in section(inputs).blocks if isinstance(block, Grid))
    words = {picture.caption.split(":")[0]: picture.caption for picture in strip.blocks}
    assert "any" in words["selective search"]
    assert "the first" in words["RPN"]


def test_the_images_are_those_with_the_most_objects(inputs: Inputs) -> None:
    strips = [block for block in section(inputs).blocks if isinstance(block, Grid)]
    shown = [strip.label.split()[1] for strip in strips]
    least = min(len(inputs.targets[image_id]["boxes"]) for image_id in shown)
    assert all(len(target["boxes"]) <= least for name, target in inputs.targets.items() if name not in shown)
