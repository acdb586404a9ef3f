"""The command line's `score` as a user runs it: seconds from start to the last file, and its peak memory.

python benchmarks/scoring.py FASTA OUTPUT      score one file; prints this process's peak memory in MB
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from importing import peak_megabytes  # noqa: E402
from measure import Aim, Row  # noqa: E402

__all__ = ["scoring_rows"]

LENGTH = 500  # bases


def write_sequences(path: Path, number: int) -> None:
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGT", np.uint8)
    with open(path, "wb") as file:
        for name in range(number):
            file.write(b">s%d\n%s\n" % (name, letters[rng.integers(0, 4, LENGTH)].tobytes()))


def score(fasta: Path, output: Path) -> tuple[float, float, float]:
    """Wall-clock seconds, processor seconds and peak MB of a process that scores with the default model."""
    command = [sys.executable, __file__, str(fasta), str(output)]
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONWARNINGS": "ignore"}
    )
    seconds, after = time.perf_counter() - start, os.times()
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, busy, float(done.stdout.splitlines()[-1])


def scoring_rows(quick: bool, say: Callable[[str], None] = print) -> list[Row]:
    """Two numbers of sequences, the second four times the first, for the memory."""
    few, many = (20, 80) if quick else (2_500, 10_000)
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for number in (few, many):
            say(f"{number:,} sequences")
            write_sequences(Path(folder) / "x.fa", number)
            found[number] = score(Path(folder) / "x.fa", Path(folder) / f"scores_{number}")
    seconds, busy, peak = found[many]
    what = f"`score`, {many:,} sequences of {LENGTH} bp in FASTA, both strands, three files, with its start"
    return [
        Row(what, "s", seconds, aim=Aim("ours", "≤", 60)),
        Row(f"{what}, processor time", "s", busy),
        Row(
            f"Peak memory of `score`, {many:,} sequences against {few:,}",
            "MB",
            peak,
            found[few][2],
            Aim("ratio", "≤", 1.1),
        ),
    ]


if __name__ == "__main__":
    from genomic_ulmfit.cli import app

    app(["score", sys.argv[1], "--output", sys.argv[2]], standalone_mode=False)
    print(peak_megabytes())
