"""Several processes that train one model together: `torchrun` starts them, each learns its part here.

The processes run the same code. Each reads its own rows of every batch (`LanguageModelLoader`), gradients are
averaged by torch's DistributedDataParallel, sums over tokens go over all processes, and only the first one
writes files. With a single process these functions do nothing.
"""

import atexit
import os
from functools import cache

import torch
import torch.distributed as dist
from fastai.callback.core import Callback
from fastai.torch_core import distrib_barrier, get_model
from torch.nn.parallel import DistributedDataParallel

__all__ = [
    "DataParallel",
    "broadcast",
    "all_gather",
    "only_one_process",
    "rank",
    "ranks",
    "all_reduce_sum",
    "on_rank_zero",
]


@cache
def ranks() -> int:
    """How many processes train together; the first call joins them.

    NCCL joins GPUs, one a process; Gloo joins CPUs.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return 1
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if gpu else "gloo")
    atexit.register(dist.destroy_process_group)
    return dist.get_world_size()


def rank() -> int:
    """The number of this process among them, from 0."""
    return dist.get_rank() if ranks() > 1 else 0


def _device() -> torch.device:
    """Where collectives want their tensors."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def all_reduce_sum(*values: float) -> list[float]:
    """Each value summed over all processes."""
    if ranks() == 1:
        return list(values)
    total = torch.tensor(values, dtype=torch.float64, device=_device())
    dist.all_reduce(total)
    return total.tolist()


def broadcast(value):
    """The first process's `value`, in all."""
    if ranks() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, device=_device())
    return box[0]


def all_gather(value) -> list:
    """Every process's `value`, in the order of ranks, in all."""
    if ranks() == 1:
        return [value]
    boxes = [None] * ranks()
    dist.all_gather_object(boxes, value)
    return boxes


def on_rank_zero(write, *arguments) -> None:
    """`write(*arguments)` in the first process; the others wait, so that they can read what it wrote."""
    if rank() == 0:
        write(*arguments)
    distrib_barrier()


def only_one_process(what: str) -> None:
    """Raises RuntimeError where several processes train together and would repeat this."""
    if ranks() > 1:
        raise RuntimeError(
            f"{what} is for one process, not for {ranks()}: "
            "leave PROCESSES out and run notebooks side by side (JOBS) instead"
        )


class _Parallel(DistributedDataParallel):
    """Lets fastai's callbacks reach what the network itself has (`reset`, `state`, `encoder`)."""

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("module"), name)


class DataParallel(Callback):
    """Averages gradients over the processes during `fit`, weighted by each process's targets.

    Up to rounding, a step is then that of one process with all rows, with two exceptions: every process draws
    its own dropout masks, and rows that only fill up the last batch count in the penalties AR and TAR. The
    recorded loss is that of all rows too: fastai averages it over processes. All start from the first one's
    weights.
    """

    order = -10  # before the other callbacks add to the loss

    def before_fit(self):
        self.common = broadcast(int(torch.randint(2**62, ())))
        torch.manual_seed(self.common + rank())
        self.learn.model = _Parallel(self.model)

    def after_loss(self):
        targets = float((self.learn.loss_func.classes(self.y) >= 0).sum())
        share = targets * ranks() / max(1.0, *all_reduce_sum(targets))
        self.learn.loss_grad = self.learn.loss_grad * share
        self.learn.loss = self.learn.loss * share

    def after_fit(self):
        self.learn.model = get_model(self.model)
        torch.manual_seed(self.common)
