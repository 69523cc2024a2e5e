"""Trained networks as files that run without this project: ONNX, and torch.export's program.

A graph (`graph`) is what a deployer wants of a network and no more; a format (`onnx_file`, `torch_file`) makes bytes of
it and can run them; `description` says in the file what goes in and what comes out; `verify` compares.
"""
