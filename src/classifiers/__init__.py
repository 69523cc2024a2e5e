"""Classifiers, one file each.

A file has `Params`, its section of params.yaml below `classifiers`: what `src.classification.params.Classifier` has, and
`model`, with at least the `name` of the torchvision model whose weights fit; and `build(num_classes, model) ->
nn.Module`, whose forward takes images [B, 3, H, W] and gives logits [B, num_classes]. There is no background class.
`build` makes tensors on the default device and reads none of their values, for `stages/check.py` calls it on the device
`meta`; what cannot be built is an `InputError`.
"""
