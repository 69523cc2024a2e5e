"""Weights that a network starts from, put in where they fit."""

from collections.abc import Mapping

from torch import Tensor, nn

from src.errors import InputError


def load(model: nn.Module, weights: Mapping[str, Tensor], key: str = "weights") -> list[str]:
    """Put weights into the network where name and shape agree.

    Weights of another width or number of classes, as of ImageNet's fc8, do not fit and are left alone; that nothing
    fits at all is an error.

    Args:
        model: the network, whose values are replaced in place.
        weights: a state dict, of any precision.
        key: the parameter that named them, for the error.

    Returns:
        Names of the layers that keep their random values, in the network's order.
    """
    state, left_out = model.state_dict(), skipped(model, weights)
    fitting = {name: value.to(state[name].dtype) for name, value in weights.items() if name not in left_out}
    if not fitting:
        raise InputError(f"{key}: no tensor fits the network; there are {', '.join(list(weights)[:3])}, ...")
    model.load_state_dict(fitting, strict=False)
    # BatchNorm's count of batches is no weight: files without it leave no layer at random.
    without = [name for name in state if name not in fitting and not name.endswith("num_batches_tracked")]
    return list(dict.fromkeys(name.rpartition(".")[0] for name in without))


def skipped(model: nn.Module, weights: Mapping[str, Tensor]) -> list[str]:
    """Names of the weights that `load` leaves out, for the network has no such tensor or one of another shape."""
    state = model.state_dict()
    return [name for name, value in weights.items() if name not in state or state[name].shape != value.shape]
