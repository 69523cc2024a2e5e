"""The group of processes that train one network: how they meet, and Lightning Fabric for each of them.

Whoever started the processes tells each its place (stages/environment.py). They meet at the address of the first one.
"""

import socket
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from src.errors import InputError
from src.training import processes
from src.training.places import Place

MEETING = timedelta(minutes=5)  # longest wait for the other processes at the start


class Together(DDPStrategy):
    """Fabric's strategy for several processes, without the wrapper that averages gradients: the loop averages them.

    DistributedDataParallel needs the same layers to learn in every step and the network to be called as a whole. Here
    layers are frozen in the first epochs, and a loss may call a part of the network (`src.rcnn.finetune.logits_of`).
    """

    def setup_module(self, module: nn.Module) -> Any:
        """Return the network as it is."""
        return module


class _Told(TorchElasticEnvironment):
    """The environment of Fabric for a given place; Fabric's own classes read variables."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    @property
    def main_address(self) -> str:
        return self._place.address

    @property
    def main_port(self) -> int:
        return self._place.port

    def world_size(self) -> int:
        return self._place.world

    def global_rank(self) -> int:
        return self._place.rank

    def local_rank(self) -> int:
        return self._place.local_rank

    def node_rank(self) -> int:
        return self._place.rank // self._place.local_world


def join(place: Place, kind: str, precision: Any) -> Fabric:
    """Meet the other processes, and return Fabric for this one.

    Args:
        place: the place of this process.
        kind: `cpu` or `cuda`. Each process has the GPU of its local number, or GPU 0 if it sees no other.
        precision: as for Fabric.

    Raises:
        InputError: the address is wrong, the others do not come within five minutes, or there are too few GPUs.
    """
    devices = [torch.device("cpu")] * place.local_world
    if kind == "cuda":
        visible = torch.cuda.device_count()
        if visible != 1 and visible < place.local_world:
            raise InputError(
                f"{place.local_world} processes on this machine see {visible} GPUs: start one for each GPU, or set "
                "DEVICE=cpu"
            )
        devices = [torch.device("cuda", 0 if visible == 1 else index) for index in range(place.local_world)]
        torch.cuda.set_device(devices[place.local_rank])
    _meet(place, devices[place.local_rank])
    processes.connect(cpu_of_one_machine=kind == "cpu" and place.world == place.local_world)
    strategy = Together(parallel_devices=devices, cluster_environment=_Told(place))
    fabric = Fabric(
        accelerator=kind,
        devices=1,  # the strategy has them
        num_nodes=place.world // place.local_world,
        strategy=strategy,
        precision=precision,
    )
    fabric.launch()
    return fabric


def _meet(place: Place, device: torch.device) -> None:
    remedy = "check that all processes were started, with the same MASTER_ADDR and MASTER_PORT"
    where = f"MASTER_ADDR = {place.address}, MASTER_PORT = {place.port}"
    try:
        socket.getaddrinfo(place.address, place.port)
    except (OSError, OverflowError, UnicodeError) as error:
        raise InputError(f"{where}: no machine is known by this address ({error}): {remedy}") from None
    try:
        url = f"tcp://{f'[{place.address}]' if ':' in place.address else place.address}:{place.port}"
        store, rank, world = next(rendezvous(url, place.rank, place.world, timeout=MEETING))
        store.set_timeout(processes.STEP)
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=PrefixStore("training", store),
            rank=rank,
            world_size=world,
            timeout=processes.STEP,
            device_id=device if device.type == "cuda" else None,
        )
    except (RuntimeError, ValueError) as error:  # torch's errors of networks and stores are RuntimeErrors
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"{where}: the {place.world} processes of the training could not meet there ({reason}): {remedy}"
        ) from None
