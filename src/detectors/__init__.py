"""Dense detectors, one file each.

A file has these names:
* `Params`: its section of params.yaml below `detectors`.
* `build(num_classes, model) -> nn.Module`; its forward takes images [B, 3, S, S] and returns {name: tensor}. `build`
  creates tensors on the default device and reads none of their values, because `stages/check.py` calls it on the device
  `meta`. If it cannot build the network, it raises an `InputError`.
* `loss(outputs, targets, rules) -> {name: scalar}`.
* `decode(outputs, sizes, rules) -> [detections]`: one per image, in pixels of the image.

It may also have:
* `CLASS_AGNOSTIC = True`: its label 1 is any object, and `features.proposals` may name it, if a stage writes
  data/proposals/NAME.npz.
* `count(outputs, targets, rules)`, numbers that are summed over the validation images, and `figures(counts)`, which
  computes figures from the sums.
"""
