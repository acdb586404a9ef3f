"""How many threads compute: what a process may use of the machine, and what it takes of that."""

import os

import pytest
import torch

from genomic_ulmfit import threads
from genomic_ulmfit.threads import choose_threads, usable_cores

V2 = "0::/slice/job\n"
V1 = "3:cpuset:/job\n2:cpu,cpuacct:/job\n"


@pytest.mark.parametrize(
    "own, limits, cores",
    [
        ("", {}, 8),
        (V2, {"slice/job/cpu.max": "max 100000\n"}, 8),
        (V2, {"slice/job/cpu.max": "250000 100000\n"}, 2),
        (V2, {"slice/job/cpu.max": "max 100000\n", "slice/cpu.max": "400000 100000\n"}, 4),
        (V2, {"slice/job/cpu.max": "20000 100000\n"}, 1),
        (V2, {"slice/job/cpu.max": "9900000 100000\n"}, 8),
        (V1, {"cpu/job/cpu.cfs_quota_us": "-1\n", "cpu/job/cpu.cfs_period_us": "100000\n"}, 8),
        (V1, {"cpu/job/cpu.cfs_quota_us": "300000\n", "cpu/job/cpu.cfs_period_us": "100000\n"}, 3),
    ],
)
def test_cores_are_those_that_affinity_and_cgroups_allow(tmp_path, monkeypatch, own, limits, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    (tmp_path / "own").write_text(own)
    for path, text in limits.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert usable_cores(tmp_path, tmp_path / "own") == cores


@pytest.fixture
def eight_threads(monkeypatch):
    """As torch begins on a machine of eight cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    monkeypatch.setattr(threads, "_AT_IMPORT", 8)
    monkeypatch.setattr(threads, "usable_cores", lambda: 8)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("cores, taken", [(1, 1), (2, 1), (3, 1), (4, 2), (8, 4)])
def test_half_of_the_cores_compute_and_a_line_says_so(eight_threads, monkeypatch, cores, taken):
    monkeypatch.setattr(threads, "usable_cores", lambda: cores)
    line = choose_threads({})
    assert torch.get_num_threads() == taken and f"{taken} of {cores} cores" in line
    assert choose_threads({}) is None or taken == 8  # chosen once


def test_what_somebody_has_chosen_stays(eight_threads):
    assert choose_threads({"OMP_NUM_THREADS": "8"}) is None and torch.get_num_threads() == 8
    torch.set_num_threads(3)
    assert choose_threads({}) is None and torch.get_num_threads() == 3
