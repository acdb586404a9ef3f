"""GPUs shared out among notebooks that run side by side on one machine."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["exclusive_gpu", "visible_gpus"]


def visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES names, else the numbers of all NVIDIA GPUs of this machine.

    Empty without any.
    """
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    return [
        str(number) for number in range(sum(line.startswith("GPU ") for line in listed.stdout.splitlines()))
    ]


@contextmanager
def exclusive_gpu(folder: Path) -> Iterator[dict[str, str]]:
    """Environment variables that show a process one GPU, no other's as long as there are enough.

    Nothing is set where there is one GPU or none. `folder`: where the locks lie, by which the processes of a
    machine know of each other; with more of them than GPUs, those that come too late share.
    """
    gpus = visible_gpus()
    if len(gpus) < 2:
        yield {}
        return
    with ExitStack() as held:
        for gpu in gpus:
            try:
                held.enter_context(FileLock(folder / f"{socket.gethostname()}-gpu-{gpu}.lock", timeout=0))
                break
            except Timeout:
                continue
        else:
            gpu = gpus[os.getpid() % len(gpus)]
        yield {"CUDA_VISIBLE_DEVICES": gpu}
