"""Classifiers, one file each.

Each file has:

* `Params`, its section of params.yaml under `classifiers`: the keys of `src.classification.params.Classifier`, and
  `model`, with at least the `name` of the torchvision model whose weights fit.
* `build(num_classes, model) -> nn.Module`. The forward of the network takes images [B, 3, H, W] and returns logits
  [B, num_classes]; there is no background class. `build` makes tensors on the default device and reads none of their
  values, because `stages/check.py` calls it on the device `meta`. It raises `InputError` if a network cannot be built.
"""
