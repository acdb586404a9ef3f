"""Measure the project's speed and memory on generated data and put the table into benchmarks/README.md.

python benchmarks/run.py            about ten minutes on two idle cores
python benchmarks/run.py --quick    tiny sizes: prints the table, writes nothing
"""

import argparse
import os
import platform
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import fastai  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from classifying import classifying_rows  # noqa: E402
from importing import importing_rows  # noqa: E402
from measure import table  # noqa: E402
from pipelines import pipeline_rows  # noqa: E402
from scoring import scoring_rows  # noqa: E402
from steps import step_rows  # noqa: E402
from tokenizing import tokenizing_rows  # noqa: E402
from training import training_rows  # noqa: E402

from genomic_ulmfit.files import replacing  # noqa: E402
from genomic_ulmfit.results import code_version  # noqa: E402

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def say(message: str) -> None:
    print(f"  {message} ...", file=sys.stderr, flush=True)


def cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.M) if cpuinfo.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def machine() -> str:
    """CPU, cores, threads, GPU, versions, commit and how busy the machine was, in one line."""
    gpu = [torch.cuda.get_device_name()] if torch.cuda.is_available() else []
    return " · ".join(
        [
            cpu_model(),
            f"{os.cpu_count()} cores, {torch.get_num_threads()} torch threads",
            *gpu,
            f"load before {os.getloadavg()[0]:.1f}",
            f"Python {platform.python_version()}",
            f"torch {torch.__version__}",
            f"fastai {fastai.__version__}",
            f"numpy {np.__version__}",
            f"commit {code_version(HERE.parent)}",
        ]
    )


def write_between_marks(path: Path, content: str) -> None:
    """Replace what stands between the marks in `path`; ValueError when they are not there."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(
            f"{path}: the lines {BEGIN} and {END} are missing, so there is no place for the table"
        )
    with replacing(path) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n{content}\n{END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes; prints the table, writes nothing")
    quick = parser.parse_args().quick
    where = machine()  # first, so that the load is not our own
    rows = []
    for measure in (
        tokenizing_rows,
        importing_rows,
        pipeline_rows,
        training_rows,
        step_rows,
        classifying_rows,
        scoring_rows,
    ):
        say(measure.__module__)
        rows += measure(quick, say)
    result = f"{where}\n\n{table(rows)}"
    print(result)
    if not quick:
        write_between_marks(HERE / "README.md", result)


if __name__ == "__main__":
    main()
