"""Dense detectors, one file each.

A file has these names:
* `Params`: its section of params.yaml below `detectors`.
* `build(num_classes, model) -> nn.Module`; its forward takes images [B, 3, H, W] and returns {name: tensor}. `build`
  creates tensors on the default device and reads none of their values, because `stages/check.py` calls it on the device
  `meta`. If it cannot build the network, it raises an `InputError`.
* `loss(outputs, targets, rules) -> {name: scalar}`. `targets` are those of a whole batch: `boxes` [B, M, 4] and
  `labels` [B, M] from 1, in which the label 0 marks padding (`src/detection/targets.py`), and `sizes` [B, 2], the
  height and width of each image in the input. M is at least 1. Of several processes that train together, each has a
  share of the batch, and the mean of their losses must be the loss of the whole batch: a sum over the images is divided
  by `averaged(count)` (`src/training/processes.py`).
* `decode(outputs, sizes, rules) -> [detections]`: one per image, in pixels of the image; `sizes` are (height, width) of
  the images before they were scaled to the input (`src/detection/sizes.py`).

It may also have:
* `model.longest` in `Params`: the input then keeps the aspect ratio and is padded; without this key it is a square.
* `TWO_STAGE = True`: its network chooses regions and then classifies them. Its forward takes images, `sizes` [B, 2] in
  the input, and `rules`, the section's `loss` or `decode`, which holds the numbers of regions. For the loss it also
  takes `targets`, of which it chooses the regions to learn from (`forward` in `src/detection/running.py`).
* `PROPOSALS = True`, with `TWO_STAGE`: its input is proposals beside images. Its section then has a key `proposals`,
  the name of a method, and its stages read data/proposals/NAME.npz (`python -m commands.write_deps`). Its forward takes
  `proposals` [B, P, 4] in pixels of the input in place of `sizes`; rows of zeros are padding.
* `CLASS_AGNOSTIC = True`: its label 1 is any object, and `features.proposals` may name it, if a stage writes
  data/proposals/NAME.npz.
* `STEPS`: a subclass of `Steps`, for a training in whose steps parts of the network learn and the others stand still
  (`src/detection/steps.py`). The section's `loss` has the key that it names: the epochs of each step, or null.
* `count(outputs, targets, rules)`, numbers that are summed over the validation images, and `figures(counts)`, which
  computes figures from the sums.
"""
