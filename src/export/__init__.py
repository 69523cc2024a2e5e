"""Trained networks as files that run without this project: ONNX, and the programs of torch.export.

`graph` builds the exported computation. Each format (`onnx_file`, `torch_file`) writes it as bytes and can run them.
`description` documents the inputs and outputs inside the file. `verify` compares the file with PyTorch.
"""
