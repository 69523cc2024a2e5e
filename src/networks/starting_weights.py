"""Load the weights that a network starts from."""

from collections.abc import Mapping

from torch import Tensor, nn

from src.errors import InputError


def load(model: nn.Module, weights: Mapping[str, Tensor], key: str = "weights", *, part: str = "") -> list[str]:
    """Load the weights whose name and shape fit the network.

    Weights of another width or number of classes, such as those of ImageNet's fc8, do not fit and are left out. If no
    weight fits, an `InputError` is raised.

    Args:
        model: the network; its values are replaced in place.
        weights: a state dict, of any precision.
        key: the parameter that names the weights, for the error message.
        part: name of the part of the network that the weights belong to, such as `backbone`; empty for the whole.

    Returns:
        names of the layers that keep a random value, in the network's order; all layers outside of `part` are among
        them.
    """
    prefix = f"{part}." if part else ""
    state, left_out = model.state_dict(), skipped(model.get_submodule(part), weights)
    fitting = {
        prefix + name: value.to(state[prefix + name].dtype) for name, value in weights.items() if name not in left_out
    }
    if not fitting:
        raise InputError(f"{key}: no tensor fits the network; the weights are {', '.join(list(weights)[:3])}, ...")
    model.load_state_dict(fitting, strict=False)
    # BatchNorm's count of batches is not a weight: a file without it leaves no layer at random.
    without = [name for name in state if name not in fitting and not name.endswith("num_batches_tracked")]
    return list(dict.fromkeys(name.rpartition(".")[0] for name in without))


def skipped(model: nn.Module, weights: Mapping[str, Tensor]) -> list[str]:
    """List the weights that `load` leaves out: the network has no tensor of that name, or one of another shape."""
    state = model.state_dict()
    return [name for name, value in weights.items() if name not in state or state[name].shape != value.shape]
