"""A device for tests that computes on the CPU, but refuses what a GPU would refuse: tensors of two devices in one step.

Its tensors say that they are on `DEVICE`. Numbers without dimensions may come from the CPU, as on a GPU.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")
MOVES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class There(Tensor):
    """A tensor on the device, with its values on the CPU."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> "There":
        made = Tensor._make_wrapper_subclass(cls, here.shape, strides=here.stride(), dtype=here.dtype, device=DEVICE)
        made.here = here
        return made

    @classmethod
    def __torch_function__(cls, call: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        if call is Tensor.new_tensor:  # these two are not made of other operations
            return There(args[0].here.new_tensor(*args[1:], **(kwargs or {})))
        if call is Tensor.tolist:
            return args[0].here.tolist()
        return torch._C._disabled_torch_function_impl(call, types, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, call: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        return _computed(call, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Sees also the calls that make a tensor on the device."""

    def __torch_dispatch__(self, call: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        return _computed(call, args, kwargs or {})


class _Made(TorchFunctionMode):
    """Sees `torch.tensor`, which is not made of other operations either."""

    def __torch_function__(self, call: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if call is torch.tensor and kwargs.get("device") == DEVICE:
            return There(torch.tensor(*args, **{**kwargs, "device": "cpu"}))
        return call(*args, **kwargs)


@contextmanager
def elsewhere() -> Iterator[None]:
    """Let the device exist within the context."""
    with _Made(), _Mode():
        yield


def moved(values: Mapping[str, Tensor], stay: Sequence[str] = ()) -> dict[str, Tensor]:
    """Return tensors on the device, apart from those that stay."""
    return {name: value if name in stay else There(value.detach()) for name, value in values.items()}


def back(value: Any) -> Any:
    """Return the same with its tensors on the CPU; a tensor that is not on the device is an error."""

    def one(leaf: Any) -> Any:
        assert not isinstance(leaf, Tensor) or isinstance(leaf, There), f"{leaf} is not on the device"
        return leaf.here if isinstance(leaf, There) else leaf

    return tree_map(one, value)


def _computed(call: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    leaves = tree_flatten((args, kwargs))[0]
    there = any(isinstance(leaf, There) for leaf in leaves)
    here = [leaf for leaf in leaves if isinstance(leaf, Tensor) and not isinstance(leaf, There) and leaf.ndim]
    if there and here and call not in MOVES:
        raise RuntimeError(f"{call} got tensors on two devices, one of them {here[0]}")
    device = kwargs.get("device")
    there = there if device is None else torch.device(device) == DEVICE
    if device is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    plain_args, plain_kwargs = tree_map(lambda leaf: leaf.here if isinstance(leaf, There) else leaf, (args, kwargs))
    result = call(*plain_args, **plain_kwargs)
    if call.__name__.split(".")[0].endswith("_"):
        return args[0]  # changed in place
    return tree_map(lambda leaf: There(leaf) if there and isinstance(leaf, Tensor) else leaf, result)
