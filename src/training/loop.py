"""The training loop for everything that is trained by gradient descent; nothing in it is about vision.

A trainer passes batches, a function from a batch to named losses, and a function that yields validation figures.
Lightning Fabric moves model and batches to the device. Each epoch sets the random state from (seed, epoch), so on a CPU
a resumed run computes the same as an uninterrupted one. Several processes, each with a share of every batch, compute
the same as one, except for rounding (src/training/processes.py).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import Dataset
from tqdm import tqdm

from src.errors import InputError
from src.training import checkpoints, processes
from src.training.averaging import Average
from src.training.loading import Batches, Loader
from src.training.optimizers import optimizer as make_optimizer
from src.training.optimizers import parameter_groups
from src.training.places import WHOLE, Share
from src.training.progress import Row, State, Training, copied, sign
from src.training.schedule import lr_factor
from src.training.settings import Train
from src.training.synchronised import synchronise
from src.training.tally import REMEDY, Tally, check_weights

Losses = Mapping[str, Tensor]
LAST = "last"  # value of `best_by` that keeps the last epoch
PROCESSES = "processes"  # figure of an epoch that several processes trained together: their number
T = TypeVar("T")


class Run(NamedTuple):
    """The circumstances of a training, which all trainers share.

    Attributes:
        fabric: the device, and the precision of `settings`, which the loop itself does not read.
        settings: everything but the batch size, which the batches have. With `ema_decay`, the
            exponential moving average of the weights is validated and kept. `best_by` names the validation figure that
            selects the epoch whose weights are kept, the first if several are equal. A figure whose name ends with
            `loss` is better if it is lower. `last`, or no validation, keeps the last epoch's weights. With `patience`,
            training ends after that many validations in a row without an improvement.
        seed: seed of the random state; each epoch has its own.
        workers: processes that prepare batches, for each process that trains.
        checkpoint: file for the state after each epoch; if it exists and is whole, training resumes from it, else from
            that of the epoch before (src/training/checkpoints.py). `forget` removes both, once the outputs are written.
            Put a `fingerprint` in its name, so that it is never used with other parameters or data.
    """

    fabric: Fabric
    settings: Train
    seed: int = 0
    workers: int = 0
    checkpoint: Path | None = None

    @property
    def share(self) -> Share:
        """The share of this process in every batch of the training."""
        return Share(self.fabric.global_rank, self.fabric.world_size, getattr(self.fabric.strategy, "num_processes", 1))

    def loader(self, data: Dataset[Any], *, whole: bool = False) -> Loader:
        """Return the loader of a data set whose items are batches; its workers live as long as it does.

        Args:
            data: the batches. If several processes train together, it also has `part`, `rows` and, if it keeps images,
                `divide`, as `src.training.epoch_batches.EpochBatches`.
            whole: load whole batches, as the first process does alone for the validation, and not the own share.

        Raises:
            InputError: a batch has fewer rows than there are processes.
        """
        share = WHOLE if whole else self.share
        if share.world > 1:
            rows = data.rows  # type: ignore[attr-defined]
            if rows < share.world:
                raise InputError(
                    f"train.batch_size gives batches of {rows}, which {share.world} processes cannot divide: start at "
                    f"most {rows} (DEVICES), or raise train.batch_size"
                )
            getattr(data, "divide", int)(share.beside)
        return Loader(data, self.workers, self.fabric.device, share)

    def in_turn(self, make: Callable[[], T]) -> T:
        """Call `make` in the first process, then in the first of each machine, then in the others.

        So what the first one writes is there for the others, or is written once on each machine.
        """
        if self.share.world == 1:
            return make()
        own = 0 if self.fabric.is_global_zero else 1 if self.fabric.local_rank == 0 else 2
        made: list[T] = []
        for turn in range(3):
            if turn == own:
                made.append(make())
            processes.wait()
        return made[0]

    def forget(self) -> None:
        """Remove the checkpoint: until the outputs are written, a full disk would lose the training with it.

        Of several processes, the others wait here until the first one has written everything.
        """
        if self.checkpoint is not None and self.fabric.is_global_zero:
            checkpoints.forget(self.checkpoint)
        if self.share.world > 1:
            processes.wait()


def fit(
    run: Run,
    model: nn.Module,
    batches: Callable[[int], Batches],
    losses: Callable[[nn.Module, Any], Losses],
    *,
    validate: Callable[[nn.Module], Iterable[tuple[str, float]]] | None = None,
    groups: Sequence[dict[str, Any]] | None = None,
    prepare: Callable[[nn.Module, int], None] | None = None,
) -> list[Row]:
    """Train `model` in place and return a row of figures per epoch: `loss`, the sum, and each loss by its name.

    Args:
        run: device, settings, seed and checkpoint.
        model: the network.
        batches: epoch (from 0) -> the batches of that epoch, or this process's share of each.
        losses: (model, batch) -> named losses, which are summed; the model is in train mode. Of several processes, the
            mean of the losses must be the loss of the whole batch (`src.training.processes.averaged`).
        validate: yields (name, figure) after every `validate_every` epochs and after the last. The model is in eval
            mode, and has the averaged weights if there is an average; gradients are off. Of several processes, only the
            first one validates.
        groups: parameter groups with `params` and a factor `lr_scale`; None: `parameter_groups`, with one rate.
        prepare: (model, epoch from 0) is called before each epoch with the model in train mode. It sets anything else
            that changes between epochs, such as frozen layers.

    Raises:
        InputError: validation yields no figure named `best_by`, or the schedule `plateau` has no figure. Or the disk of
            the checkpoint has too little space.
        FloatingPointError: a loss or a weight is not finite; the message names the loss, the batch and its `ids`. It
            comes at most 20 batches later, and before anything is written. Or the figure `best_by` is not finite.
    """
    fabric, settings, seed, _, checkpoint = run
    best_by = None if validate is None or settings.best_by == LAST else settings.best_by
    if settings.schedule == "plateau" and best_by is None:
        raise InputError("train.schedule = plateau needs a figure: give validation images, and name it in best_by")
    if best_by is None and (idle := _without_effect(settings)):
        fabric.print(f"no effect of {idle}: no figure of a validation chooses, so the last epoch is kept")
    world = fabric.world_size
    if world > 1:
        synchronise(model, fabric.device)
    optimizer = make_optimizer(settings, groups or parameter_groups(model, (), 1.0, settings))
    model, optimizer = fabric.setup(model, optimizer)
    average = None if settings.ema_decay is None else Average(cast(nn.Module, model.module), settings.ema_decay)
    state = State([], None, 0)
    training = Training(fabric, model, average, optimizer, state)
    if checkpoint is not None and settings.epochs and fabric.is_global_zero:
        checkpoints.check_room(checkpoint, model, settings, 1 + (best_by is not None) + (average is not None))
    training.resume(checkpoint)
    for epoch in range(len(state.history), settings.epochs):
        if settings.patience is not None and state.stale >= settings.patience:
            fabric.print(f"stopped after epoch {epoch}: {best_by} has not improved in {state.stale} validations")
            break
        fabric.seed_everything((seed * 1_000_003 + epoch) % 2**32, verbose=False)
        model.train()
        if prepare is not None:
            prepare(cast(nn.Module, model.module), epoch)
        so_far = [sign(best_by) * row[best_by] for row in state.history if best_by in row] if best_by else []
        figures = _epoch(fabric, model, average, optimizer, batches(epoch), losses, settings, epoch, so_far)
        row: Row = {"epoch": epoch + 1, **figures, **({PROCESSES: world} if world > 1 else {})}
        kept = model if average is None else average.module
        if validate is not None and ((epoch + 1) % settings.validate_every == 0 or epoch + 1 == settings.epochs):
            row.update(_validated(fabric, kept, validate))
            _check_best(best_by, row)
        state.add(row, best_by, kept)
        if checkpoint is not None and fabric.is_global_zero:
            checkpoints.save(checkpoint, training.content())
    if state.best is not None:
        model.load_state_dict(state.best)
    elif average is not None:
        model.load_state_dict(copied(average.module))
    return state.history


def _validated(fabric: Fabric, model: nn.Module, validate: Callable[[nn.Module], Iterable[tuple[str, float]]]) -> Row:
    """Return the figures of the validation, which the first process computes alone."""
    figures: Row = {}
    if fabric.is_global_zero:
        model.eval()
        with torch.inference_mode():
            figures.update(validate(model))
    return processes.broadcast(figures) if fabric.world_size > 1 else figures


def kept_row(history: Sequence[Row], settings: Train) -> Row:
    """Return the row of the epoch whose weights `fit` kept; without any epoch, {"epoch": 0}."""
    if not history:
        return {"epoch": 0}
    validated = [row for row in history if settings.best_by in row]
    return max(validated, key=lambda row: sign(settings.best_by) * row[settings.best_by], default=history[-1])


def _without_effect(settings: Train) -> str:
    given = {"best_by": settings.best_by != LAST, "patience": settings.patience is not None}
    return " and ".join(f"train.{name} = {getattr(settings, name)}" for name, is_given in given.items() if is_given)


def _check_best(best_by: str | None, row: Row) -> None:
    if best_by is None:
        return
    if best_by not in row:
        known = ", ".join([*(name for name in row if name.startswith("val")), LAST])
        raise InputError(f"train.best_by = {best_by!r} is not a validation figure: use one of {known}")
    if not math.isfinite(row[best_by]):  # no later figure would be better than NaN
        raise FloatingPointError(f"{best_by} is {row[best_by]} after epoch {row['epoch']:.0f}: {REMEDY}")


def _epoch(
    fabric: Fabric,
    model: nn.Module,
    average: Average | None,
    optimizer: Optimizer,
    batches: Batches,
    losses: Callable[[nn.Module, Any], Losses],
    settings: Train,
    epoch: int,
    so_far: Sequence[float],
) -> Row:
    several, hidden = fabric.world_size > 1, not fabric.is_global_zero
    tally, lr = Tally(processes.mean if several else None), 0.0
    words = f"epoch {epoch + 1}/{settings.epochs}"
    with tqdm(batches, desc=words, mininterval=1.0, leave=False, disable=hidden) as progress:
        for batch in progress:
            lr = _set_rate(optimizer, settings, epoch + tally.count / max(len(batches), 1), so_far)
            with processes.together(fabric.device) if several else nullcontext():
                loss = tally.add(losses(model, fabric.to_device(batch)), batch)
            optimizer.zero_grad()
            fabric.backward(loss)
            if several:
                processes.average_gradients(model.parameters())
            if settings.grad_clip is not None:
                # Scaled gradients (16-mixed) may overflow, and the step is then left out. Others show in the next loss.
                fabric.clip_gradients(model, optimizer, max_norm=settings.grad_clip, error_if_nonfinite=False)
            optimizer.step()
            if average is not None:
                average.update()
            if tally.fresh:
                progress.set_postfix({name: f"{mean:.3f}" for name, mean in tally.means().items()}, refresh=False)
    means = tally.means()
    check_weights(model)
    return {"lr": lr, "loss": sum(means.values()), **means}


def _set_rate(optimizer: Optimizer, settings: Train, epoch: float, figures: Sequence[float]) -> float:
    lr = settings.lr * lr_factor(settings, epoch, figures)
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)
    return lr
