"""Layers that see the whole batch although each process has a share of it: BatchNorm, and dropout.

With them, the outputs of a network in training do not depend on the number of processes, except for rounding.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from src.training import processes


def synchronise(model: nn.Module, device: torch.device) -> None:
    """Let the BatchNorm and dropout layers of a network see the whole batch; its parameters stay the same objects.

    Args:
        model: the network; its layers are replaced in place, and `state_dict` has the same names as before.
        device: on a GPU BatchNorm is PyTorch's SyncBatchNorm, which does not run on a CPU; there it is `BatchNorm`.
    """
    for name, layer in list(model.named_children()):
        if isinstance(layer, _BatchNorm) and not isinstance(layer, nn.SyncBatchNorm | BatchNorm):
            other = nn.SyncBatchNorm.convert_sync_batchnorm(layer) if device.type == "cuda" else _of_all(layer)
            setattr(model, name, other.train(layer.training))
        elif type(layer) is nn.Dropout:
            setattr(model, name, Dropout(layer.p).train(layer.training))
        else:
            synchronise(layer, device)


class Dropout(nn.Dropout):
    """Dropout that draws as one process would for the whole batch, and takes the numbers of its own rows."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Drop numbers of a tensor [rows, ...] in training; as PyTorch's layer, but never in place."""
        if not self.training or self.p == 0:
            return input
        stay = 1 - self.p
        return input * processes.kept(input, stay).div_(stay) if stay else input * 0


class BatchNorm(_BatchNorm):
    """BatchNorm with the statistics of the images of all processes; in eval mode as PyTorch's."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002
        """Take inputs of any number of dimensions from 2: [B, C, ...]."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Normalise a tensor [B, C, ...], in single precision also if the input has less."""
        if not self.training:
            return super().forward(input)
        values = input if input.dtype == torch.float64 else input.float()
        mean, variance, count = _statistics(values.detach())
        if self.track_running_stats:
            self._follow(mean, variance * (count / (count - 1)))
        output = _Normalised.apply(values, self.weight, self.bias, mean, variance, self.eps, count)
        return cast(Tensor, output).to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of the batch."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        rate = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.mul_(1 - rate).add_(mean, alpha=rate)
        self.running_var.mul_(1 - rate).add_(variance, alpha=rate)


def _of_all(layer: _BatchNorm) -> BatchNorm:
    """Return the layer as one of `BatchNorm`, with the same parameters and buffers."""
    other = BatchNorm(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
    other._parameters, other._buffers = layer._parameters, layer._buffers
    return other


def _statistics(values: Tensor) -> tuple[Tensor, Tensor, float]:
    """Return mean [C] and variance [C] of [B, C, ...] over all processes, and the number of values per channel.

    The means and variances of the processes are put together as in Chan et al. 1979: the difference of two large sums
    of squares would lose digits.
    """
    own_mean, own_variance = torch.batch_norm_update_stats(values, None, None, 0.0)
    own_count = torch.full((1,), values.numel() // values.shape[1], dtype=torch.float64)
    found = processes.gathered(torch.cat([own_mean.double(), own_variance.double(), own_count]))
    means, variances, counts = found.split([len(own_mean), len(own_mean), 1], dim=1)
    count = counts.sum()
    mean = (means * counts).sum(0) / count
    variance = ((variances + (means - mean) ** 2) * counts).sum(0) / count
    return mean.to(values.dtype), variance.to(values.dtype), count.item()


class _Normalised(Function):
    """Normalisation by given statistics, and its gradient with the sums of all processes."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        values: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        eps: float,
        count: float,
    ) -> Tensor:
        ctx.save_for_backward(values, mean, variance, *([] if weight is None else [weight]))
        ctx.eps, ctx.count = eps, count  # type: ignore[attr-defined]
        return functional.batch_norm(values, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        values, mean, variance, *given = ctx.saved_tensors
        weight = given[0] if given else None
        # The sums of this process over the gradient; the gradient of the input needs those of all.
        _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, values, weight, mean, variance, None, None, False, ctx.eps, [False, True, True]
        )
        of_weights, of_biases = processes.total(torch.stack([of_weight, of_bias])).unbind()
        deviation = (variance + ctx.eps).rsqrt()
        scale = deviation if weight is None else deviation * weight
        by_value = scale * deviation * of_weights / ctx.count
        constant = by_value * mean - scale * of_biases / ctx.count
        shape = [1, -1] + [1] * (values.ndim - 2)
        # Two passes over the maps: with a large input, memory is what takes the time.
        found = torch.addcmul(constant.view(shape), gradient, scale.view(shape))
        found.addcmul_(values, by_value.view(shape), value=-1)
        return found, None if weight is None else of_weight, None if weight is None else of_bias, None, None, None, None
