"""The one training loop, for everything that is trained by gradient descent; it knows no word of vision.

A trainer gives it batches, a function from a batch to named losses, and a function that yields validation figures.
Lightning Fabric puts model and batches on the device. The random state is set anew at each epoch from (seed, epoch),
so a resumed run computes what an uninterrupted one would have.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from tqdm import tqdm

from src.params import Train
from src.storage import atomic

Losses = Mapping[str, Tensor]
Row = dict[str, float]


def fit(
    fabric: Fabric,
    model: nn.Module,
    batches: Callable[[int], Iterable[Any]],
    losses: Callable[[nn.Module, Any], Losses],
    settings: Train,
    *,
    validate: Callable[[nn.Module], Iterable[tuple[str, float]]] | None = None,
    best_by: str | None = None,
    groups: Sequence[dict[str, Any]] | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
) -> list[Row]:
    """Train `model` in place and return one row of figures an epoch.

    Args:
        batches: epoch (from 0) -> the batches of that epoch.
        losses: (model, batch) -> named losses, which are summed; the model is in train mode.
        settings: optimiser, rate, schedule and epochs; batch size is the affair of `batches`.
        validate: yields (name, figure) after each epoch; the model is in eval mode and no gradient is kept.
        best_by: name of the validation figure (higher is better) whose best epoch's weights are kept at the end; of
            equals the first. None keeps the last epoch's weights.
        groups: parameter groups with `params` and a factor `lr_scale`; None is all parameters at the same rate.
        checkpoint: file of the state after each epoch; where it is there, training goes on behind it. It is removed
            at the end. Name it with `fingerprint`, so that it never serves other parameters or data.

    Raises:
        FloatingPointError: a loss is not finite; names the loss, the epoch and the batch's `ids`.
    """
    groups = groups or [{"params": list(model.parameters()), "lr_scale": 1.0}]
    optimizer = _optimizer(settings, groups)
    model, optimizer = fabric.setup(model, optimizer)
    history, best = _resume(checkpoint, model, optimizer, fabric)
    for epoch in range(len(history), settings.epochs):
        fabric.seed_everything((seed * 1_000_003 + epoch) % 2**32, verbose=False)
        lr = _set_rate(optimizer, settings, epoch)
        row: Row = {"epoch": epoch + 1, "lr": lr, **_epoch(fabric, model, optimizer, batches(epoch), losses, settings)}
        if validate is not None:
            model.eval()
            with torch.inference_mode():
                row.update(validate(model))
        history.append(row)
        if best_by is not None and (best is None or row[best_by] > max(past[best_by] for past in history[:-1])):
            best = _copy(model)
        if checkpoint is not None and fabric.is_global_zero:
            state = {"model": _copy(model), "optimizer": optimizer.state_dict(), "history": history, "best": best}
            with atomic(checkpoint) as temporary:
                torch.save(state, temporary)
    if best is not None:
        model.load_state_dict(best)
    if checkpoint is not None and fabric.is_global_zero:
        checkpoint.unlink(missing_ok=True)
    return history


def _epoch(
    fabric: Fabric,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Any],
    losses: Callable[[nn.Module, Any], Losses],
    settings: Train,
) -> Row:
    model.train()
    totals: Row = {}
    count = 0
    with tqdm(batches, desc="train", mininterval=1.0, leave=False) as progress:
        for batch in progress:
            named = losses(model, fabric.to_device(batch))
            values = {name: value.item() for name, value in named.items()}
            _check_finite(values, count, batch)
            optimizer.zero_grad()
            fabric.backward(torch.stack(list(named.values())).sum())
            if settings.grad_clip is not None:
                fabric.clip_gradients(model, optimizer, max_norm=settings.grad_clip)
            optimizer.step()
            totals = {name: totals.get(name, 0.0) + value for name, value in values.items()}
            count += 1
            progress.set_postfix({name: f"{value / count:.3f}" for name, value in totals.items()}, refresh=False)
    return {name: value / max(count, 1) for name, value in totals.items()}


def _check_finite(values: Row, index: int, batch: Any) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            ids = batch.get("ids") if isinstance(batch, Mapping) else None
            raise FloatingPointError(
                f"{name} is {value} at batch {index} ({', '.join(ids) if ids else 'no ids'}): lower train.lr, set "
                "train.grad_clip, or look at these inputs"
            )


def _optimizer(settings: Train, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
    options: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, momentum=settings.momentum, **options)
        case "adam":
            return torch.optim.Adam(groups, **options)
        case "adamw":
            return torch.optim.AdamW(groups, **options)


def _set_rate(optimizer: torch.optim.Optimizer, settings: Train, epoch: int) -> float:
    """The rate: a step down every `lr_step` *epochs*, computed from the epoch alone, so that a resume is exact."""
    lr = settings.lr * settings.lr_gamma ** (epoch // settings.lr_step if settings.lr_step else 0)
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)
    return lr


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def _resume(
    checkpoint: Path | None, model: nn.Module, optimizer: torch.optim.Optimizer, fabric: Fabric
) -> tuple[list[Row], dict[str, Tensor] | None]:
    if checkpoint is None or not checkpoint.exists():
        return [], None
    state = torch.load(checkpoint, map_location=fabric.device, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    fabric.print(f"resumed at epoch {len(state['history']) + 1}, from {checkpoint}")
    return state["history"], state["best"]


def fingerprint(params: Mapping[str, Any], files: Iterable[Path]) -> str:
    """A name for what a training computes: a hash of its parameters and of the content of its input files."""
    digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode())
    for block in _blocks(files):
        digest.update(block)
    return digest.hexdigest()[:16]


def _blocks(files: Iterable[Path]) -> Iterator[bytes]:
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                yield block
