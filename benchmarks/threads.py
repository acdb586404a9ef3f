"""What a training step costs on one thread and on all, on a machine that does something else meanwhile.

python benchmarks/threads.py            two minutes on two cores; prints a table
python benchmarks/threads.py --quick    tiny sizes, few steps

Every measurement is a process of its own, because waiting policies are read when a library is loaded.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from measure import Row, table  # noqa: E402

from genomic_ulmfit.threads import usable_cores  # noqa: E402

__all__ = ["thread_rows"]

WARM_UP = 3  # steps that do not count
# Ends with the process that started it, however that ends.
BUSY = [sys.executable, "-c", "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"]
PASSIVE = {"OMP_WAIT_POLICY": "passive"}


def steps_for_ever(quick: bool) -> None:
    """Train the language model of the 3-mer notebook at laptop scale; a line with each step's seconds."""
    import numpy as np
    from steps import CONTEXTS, plain_loop
    from training import batches_of

    bases = np.random.default_rng(0).integers(0, 4, 200_000, dtype=np.uint8)
    rows, bptt = (4, 32) if quick else (32, 256)
    step = plain_loop(batches_of(bases, rows, bptt, windows=1, batches=1), contexts=CONTEXTS)
    while True:
        started = time.perf_counter()
        step()
        print(time.perf_counter() - started, flush=True)


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def step_milliseconds(beside: str, threads: int, quick: bool, **policy: str) -> float:
    """Median of a step, beside what a key of `BESIDE` names."""
    count, patience = (2, 5.0) if quick else (20, 30.0)
    trainer = [sys.executable, __file__, "--steps", *(["--quick"] if quick else [])]
    environment = {"OMP_NUM_THREADS": str(threads), **policy}
    with ExitStack() as stack:
        for other in BESIDE[beside]:
            process = stack.enter_context(running(trainer if other == "trainer" else BUSY, **environment))
            if other == "trainer":
                process.stdout.readline()  # it trains; the pipe holds the lines of the time measured here
        process = stack.enter_context(running(trainer, **environment))
        for _ in range(WARM_UP):
            process.stdout.readline()
        began, seconds = time.perf_counter(), []
        while len(seconds) < count and (not seconds or time.perf_counter() - began < patience):
            seconds.append(float(process.stdout.readline()))
    return statistics.median(seconds) * 1e3


# What else runs: names of the table, and the processes.
BESIDE = {
    "alone": [],
    "beside a busy loop": ["loop"],
    "beside two busy loops": ["loop", "loop"],
    "beside another training": ["trainer"],
}


def thread_rows(quick: bool, say: Callable[[str], None] = print) -> list[Row]:
    """A step on half of the cores, the default, against all cores; then all cores that wait asleep."""
    cores = usable_cores()
    half, rows = max(1, cores // 2), []
    for beside in BESIDE:
        say(f"a step {beside}")
        usual, every = (step_milliseconds(beside, threads, quick) for threads in (half, cores))
        asleep = step_milliseconds(beside, cores, quick, **PASSIVE)
        what = f"A training step, laptop scale, {beside}"
        rows += [
            Row(f"{what}, threads {half} against {cores}", "ms", usual, every),
            Row(f"{what}, {cores} threads that wait asleep against the usual {cores}", "ms", asleep, every),
        ]
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, few steps")
    parser.add_argument("--steps", action="store_true", help=argparse.SUPPRESS)  # one of the processes
    given = parser.parse_args()
    if given.steps:
        steps_for_ever(given.quick)
    else:
        print(f"load before {os.getloadavg()[0]:.1f}\n\n{table(thread_rows(given.quick))}")
