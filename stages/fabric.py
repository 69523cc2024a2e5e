"""Lightning Fabric of a training, on one device or as one process of a group."""

from typing import TYPE_CHECKING, Any

from stages import group
from stages.environment import device, devices

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def fabric(precision: str) -> "Fabric":
    """Return Lightning Fabric on `device()`, with the precision of the parameters.

    On a GPU, products and convolutions of single-precision numbers are computed with TensorFloat-32 (10 bits of the
    mantissa; sums keep their 23), and cuDNN tries its algorithms on the first batch of each size and takes the fastest.
    A process of a group meets the others here. One that is alone stays so, also in the script of a Slurm job with
    several tasks: Fabric by itself would refuse those, or warn that `srun` is not used.
    """
    import torch  # here, not above: --help does not wait for it
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment

    from src.training.group import join

    kind, _, index = device().partition(":")
    devices()  # refuses a number that this machine does not have
    if kind == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    if (place := group.place()) is not None:
        return join(place, kind, precision)
    options: dict[str, Any] = {"devices": [int(index)] if index else 1, "precision": precision}
    return Fabric(accelerator=kind, **options, plugins=[LightningEnvironment()])
