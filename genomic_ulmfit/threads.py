"""How many threads a process computes with, if nobody says: half of the cores that it may use.

Threads of one product wait for each other. Where something else takes a core, all wait for the one that lost
it, and two of them are slower than one (benchmarks/README.md, "Threads").
"""

import os
from collections.abc import Mapping
from pathlib import Path

import torch

__all__ = ["choose_threads", "usable_cores"]

_AT_IMPORT = torch.get_num_threads()
_CGROUPS = Path("/sys/fs/cgroup")


def usable_cores(cgroups: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Cores that this process may use, at least 1: by its affinity and the quotas of its cgroups.

    cgroups: where both versions of Linux's control groups are mounted. own: the file that names the groups
    of this process. Either may be missing. A quota of two and a half cores counts as two.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quotas = [quota for folder in _folders(cgroups, own) if (quota := _quota(folder))]
    return max(1, int(min([cores, *quotas])))


def _folders(cgroups: Path, own: Path) -> list[Path]:
    """The folders of this process's groups that may limit its processor time, those above them included."""
    folders = []
    for line in own.read_text().splitlines() if own.exists() else ():
        _, controllers, path = line.split(":", 2)
        if "cpu" in controllers.split(",") or not controllers:  # version 1; version 2
            top = cgroups / "cpu" if controllers else cgroups
            group = top / path.lstrip("/")
            folders += [folder for folder in (group, *group.parents) if folder.is_relative_to(top)]
    return folders


def _quota(folder: Path) -> float | None:
    """Cores that a group may keep busy; None without a limit."""
    try:
        if (limit := folder / "cpu.max").exists():
            quota, period = limit.read_text().split()
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period")
            )
    except OSError:
        return None
    return None if quota.strip() in ("max", "-1") else int(quota) / int(period)


def choose_threads(environment: Mapping[str, str] = os.environ) -> str | None:
    """Have torch compute with half of the usable cores, at least one; a line that says so.

    None, and nothing is changed, where somebody has chosen: by OMP_NUM_THREADS in the environment, or by
    `torch.set_num_threads`.
    """
    if environment.get("OMP_NUM_THREADS") or torch.get_num_threads() != _AT_IMPORT:
        return None
    cores = usable_cores()
    threads = max(1, cores // 2)
    torch.set_num_threads(threads)
    return (
        f"computing with {threads} of {cores} cores: something else usually runs "
        f"(OMP_NUM_THREADS={cores}, set before the start, takes all)"
    )
