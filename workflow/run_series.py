"""Runs notebooks of the series, prints the tables and says what was written: what `make run` calls.

Reads the environment variables PROFILE, ONLY, PARAMS, JOBS, PROCESSES and FAN_OUT, which `make` passes on as
they were typed. GENOMIC_DATA, GENOMIC_ARTIFACTS and GENOMIC_RESULTS name other folders than the project's
`data/`, `artifacts/` and `results/`.
"""

import json
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import nbformat

from genomic_ulmfit.files import replacing
from genomic_ulmfit.profiles import ROOT, results_folder
from workflow.experiments import START, USES
from workflow.forks import forked, forks
from workflow.gpus import visible_gpus
from workflow.series import Series

__all__ = ["home_of_its_own", "written_by"]

WRITTEN = "written: "  # how a notebook says which file it has written for the user
QUIET = ["--quiet", "host", "progress", "reason", "rules"]


def home_of_its_own(environment: Mapping, folder: Path) -> dict[str, str]:
    """What to add to the environment without a writable home folder, or without a user's name.

    Snakemake, Jupyter and matplotlib keep files in the home folder; containers and clusters may have none.
    """
    added = {}
    home = environment.get("HOME", "")
    if not (os.path.isdir(home) and os.access(home, os.W_OK)):
        added["HOME"] = str(folder / "home")
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        added["USER"] = added["LOGNAME"] = environment.get("USER") or f"uid-{os.getuid()}"
    return added


def written_by(copy: Path) -> list[str]:
    """The paths that an executed notebook says it has written for the user."""
    cells = nbformat.read(copy, 4).cells
    printed = "".join(
        o.text for c in cells if c.cell_type == "code" for o in c.outputs if o.output_type == "stream"
    )
    return [line.removeprefix(WRITTEN) for line in printed.splitlines() if line.startswith(WRITTEN)]


def _require_writable(folder: Path, variable: str) -> None:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ValueError(f"{there} cannot be written: let {variable} name a folder that can")


def _number(name: str) -> int | None:
    text = os.environ.get(name, "").strip()
    if text and not (text.isdecimal() and int(text)):
        raise ValueError(f"{name}={text}: give a whole number, 1 or more")
    return int(text) if text else None


def _snakemake(series: Series, jobs: int | None, folder: Path, environment: Mapping) -> int:
    """Run Snakemake on what the series wants; its exit status."""
    config = {
        "profile": series.profile,
        "only": series.only,
        "params": series.given,
        "fan_out": series.fan_out,
        "processes": series.processes,
        "jobs": jobs,
    }
    # In a file, every text arrives as it was typed.
    told = folder / ".snakemake" / f"{series.artifacts.name}.config.json"
    with replacing(told) as temporary:
        temporary.write_text(json.dumps(config))
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(ROOT / "workflow/Snakefile"),
        "--directory",
        str(folder),
        "--cores",
        "all",
        "--rerun-incomplete",
        "--nolock",
        *(["--keep-going"] if series.fan_out else []),
        *QUIET,
        "--configfile",
        str(told),
    ]
    process, interrupted = subprocess.Popen(command, env={**os.environ, **environment}), False
    while True:
        try:
            status = process.wait()
            if interrupted:
                print("Stopped. The same command goes on from the last checkpoint.", flush=True)
            return status
        except KeyboardInterrupt:  # Snakemake has it too, and ends its jobs
            interrupted = True


def _run(series: Series, jobs: int | None, folder: Path, environment: Mapping) -> int:
    """Run the notebooks, then print the tables and write the manifest, if there are results; exit status."""
    if status := _snakemake(series, jobs, folder, environment):
        return status
    if all(notebook in (START, *USES) for notebook, _ in series.wanted):
        return 0
    for module, task in (("show_tables", "show"), ("manifest", "write")):
        command = forked([sys.executable, "-m", f"workflow.{module}", task, series.profile], environment)
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment})
        if done.returncode:
            return done.returncode
    return 0


def main() -> int:
    started = time.time()
    try:
        series = Series(
            os.environ.get("PROFILE") or "simulated",
            os.environ.get("ONLY", ""),
            os.environ.get("PARAMS", ""),
            os.environ.get("FAN_OUT", ""),
            _number("PROCESSES") or 1,
        )
        jobs = _number("JOBS")
        _require_writable(series.artifacts, "GENOMIC_ARTIFACTS")
        _require_writable(results_folder(), "GENOMIC_RESULTS")
        elsewhere = os.environ.get("GENOMIC_ARTIFACTS")
        folder = series.artifacts.parent if elsewhere else ROOT
        _require_writable(folder, "GENOMIC_ARTIFACTS")
    except ValueError as error:
        sys.exit(f"make run: {error}")
    environment = home_of_its_own(os.environ, series.artifacts.parent)
    if "HOME" in environment:
        print(
            f"HOME={os.environ.get('HOME', '')} cannot be written: {environment['HOME']} takes its place",
            flush=True,
        )
    for made in (folder, *map(Path, [environment["HOME"]] if "HOME" in environment else [])):
        made.mkdir(parents=True, exist_ok=True)
    with nullcontext({}) if visible_gpus() else forks() as server:
        if status := _run(series, jobs, folder, environment | server):
            return status
    print(f"Executed notebooks: {series.artifacts / 'notebooks'}/")
    copies = [series.executed(*run) for run in series.wanted if run[0] in USES]
    for copy in copies:
        if copy.stat().st_mtime >= started:
            print("\n".join(written_by(copy)) or f"{copy.stem} names no file that it wrote")
    return 0


if __name__ == "__main__":
    sys.exit(main())
