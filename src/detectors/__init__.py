"""Dense detectors, one file each.

A file has `Params`, its section of params.yaml below `detectors`; `build(num_classes, model) -> nn.Module`, whose
forward takes images [B, 3, S, S] and gives {name: tensor}; `loss(outputs, targets, rules) -> {name: scalar}`;
`decode(outputs, sizes, rules) -> [detections]`, one for each image and in its pixels.
`build` makes tensors on the default device and reads none of their values, for `stages/check.py` calls it on the device
`meta`; what cannot be built is an `InputError`.
It may have `CLASS_AGNOSTIC = True`: its label 1 is any object, and `features.proposals` may name it, if a stage writes
data/proposals/NAME.npz.
It may have `count(outputs, targets, rules)`, numbers that are summed over the validation images, and `figures(counts)`.
"""
