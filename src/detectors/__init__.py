"""Dense detectors, one file each.

A file has `Params`, its section of params.yaml below `detectors`; `build(num_classes, model) -> nn.Module`, whose
forward takes images [B, 3, S, S] and gives {name: tensor}; `loss(outputs, targets, rules) -> {name: scalar}`;
`decode(outputs, sizes, rules) -> [detections]`, one for each image and in its pixels.
It may have `count(outputs, targets, rules)`, numbers that are summed over the validation images, and `figures(counts)`.
"""
