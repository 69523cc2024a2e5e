"""Print the README's table of results from metrics/.

python -m stages.results_table
"""

import json
from pathlib import Path

METRICS = Path("metrics")


def main() -> None:
    """Print the table."""
    print(table(METRICS))


def table(metrics: Path) -> str:
    """The detectors', the proposals' and the classifiers' figures as a Markdown table, baselines beside them."""
    names = ("rcnn", "ssd300", "proposals_selective_search", "proposals_rpn", "proposals_rpn_untrained")
    rcnn, ssd, proposals, rpn, untrained = (json.loads((metrics / f"{name}.json").read_text()) for name in names)
    digits, hands = (json.loads((metrics / f"{name}.json").read_text()) for name in ("mobilenet_v3", "resnet50"))
    rows = [
        ("R-CNN, VOC07 mAP at IoU 0.5", rcnn["map_voc07"], rcnn["map_voc07_random"], "random ranking"),
        ("... without box regression", rcnn["map_voc07_no_bbox"], rcnn["map_voc07_random"], "random ranking"),
        ("R-CNN, VOC12 mAP at IoU 0.5", rcnn["map_voc12"], None, ""),
        ("R-CNN, COCO mAP at IoU 0.50:0.95", rcnn["map_coco"], None, ""),
        ("SSD, VOC07 mAP at IoU 0.5", ssd["map_voc07"], ssd["map_voc07_untrained"], "before training"),
        *(
            (
                f"selective search, recall at IoU {iou}",
                proposals[key],
                proposals[f"{key}_sliding_window"],
                "sliding window",
            )
            for iou, key in (("0.5", "recall_50"), ("0.7", "recall_70"))
        ),
        ("selective search, MABO", proposals["mabo"], None, ""),
        *(
            (f"RPN, recall at IoU 0.5 of the first {count}", rpn[key], untrained[key], "before training")
            for count, key in ((10, "recall_50_at_10"), (100, "recall_50_at_100"))
        ),
        (
            "MobileNetV3, accuracy on digits",
            digits["accuracy"],
            digits["accuracy_most_frequent"],
            "most frequent class",
        ),
        ("ResNet-50, accuracy on hands", hands["accuracy"], hands["accuracy_most_frequent"], "most frequent class"),
    ]
    lines = ["| measure | test | baseline |", "|---|---|---|"]
    for name, value, baseline, kind in rows:
        lines.append(f"| {name} | {value:.3f} | {'' if baseline is None else f'{baseline:.3f} ({kind})'} |")
    images, objects = rcnn["images"], rcnn["objects"]
    return "\n".join([*lines, "", f"{images} test images, {objects} objects that are not difficult."])


if __name__ == "__main__":
    main()
