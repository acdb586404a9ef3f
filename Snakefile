# What depends on what. `make run` calls this; on a cluster, `snakemake --profile cluster/slurm ...` does the same with many machines.
#   snakemake --cores all --config profile=pilot only="LM 1" params="EPOCHS: 1, SCALE: laptop" jobs=2
# experiments.py has the tables, series.py the decisions.
import json
import os
import re
import shlex
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout
from snakemake.exceptions import WorkflowError

from experiments import LANGUAGE_MODELS, MAKERS
from gpus import visible_gpus
from run_notebook import done_file
from series import Series, relative

ROOT, PYTHON = Path(workflow.basedir), sys.executable
RUN_NOTEBOOK = ROOT / "run_notebook.py"
try:
    SERIES = Series(str(config.get("profile") or "simulated"), str(config.get("only") or ""), config.get("params") or "",
                    str(config.get("fan_out") or ""), int(config.get("processes") or 1))
except ValueError as error:
    raise WorkflowError(str(error)) from None
# Notebooks side by side on one machine: small networks gain more from a core each than from two cores for one; each has a GPU of its own.
JOBS = int(config.get("jobs") or len(visible_gpus()) or 2)
try:
    CORES = workflow.cores
except WorkflowError:
    CORES = 4 * JOBS  # a cluster's jobs do not share: 4 for each, or what its profile has as max-threads


def finished(run):
    """The file by which Snakemake knows a finished run. The executed copy it would delete before its successor is complete."""
    return relative(done_file(SERIES.executed(*run)))


def processes(notebook):
    return SERIES.processes if notebook in LANGUAGE_MODELS else 1


def inputs(notebook):
    data = [relative(path) for path in SERIES.reads(notebook)]
    if SERIES.profile in MAKERS and SERIES.profile != "simulated":
        data = [ancient(path) for path in data]  # fetched again means verified again: no reason to train again
    return data + [finished((needed, variation)) for needed in SERIES.needs(notebook) for variation in SERIES.variations(needed)]


os.environ["NOTEBOOKS_COMMAND"] = SERIES.command  # for the result rows

if workflow.is_main_process and not workflow.output_settings.dryrun:
    # Gone with the process, however it ends. Snakemake's own lock would stay after a kill or a power cut, and refuse the run that goes on.
    at_work = FileLock(Path(".snakemake") / f"{SERIES.artifacts.name}.lock")
    Path(".snakemake").mkdir(exist_ok=True)
    try:
        at_work.acquire(timeout=0)
    except Timeout:
        raise WorkflowError(f"another run of profile {SERIES.profile} is at work in {Path.cwd()}: wait for its end") from None


    for run in SERIES.runs:
        if not SERIES.executed(*run).exists():  # somebody wants it made again
            done_file(SERIES.executed(*run)).unlink(missing_ok=True)


localrules: all


rule all:
    input: [finished(run) for run in SERIES.wanted]
    default_target: True


if SERIES.profile in MAKERS:
    localrules: data
    MAKER = ROOT / MAKERS[SERIES.profile][0]
    WHERE = ["--out", SERIES.data] if SERIES.profile == "simulated" else [SERIES.profile, "--data", SERIES.data.parent]

    rule data:
        input: relative(MAKER) if SERIES.profile == "simulated" else []  # what is fetched is pinned, whatever fetches it
        output: relative(SERIES.made)
        params: command=shlex.join(map(str, [sys.executable, MAKER, *WHERE]))
        shell: "{params.command}"


for number, run in enumerate(SERIES.runs):
    rule:
        name: re.sub(r"\W+", "_", " ".join(run).strip())
        input: relative(SERIES.source(run[0])), *inputs(run[0])
        output: finished(run)
        params: executed=relative(SERIES.executed(*run)), values=json.dumps(SERIES.values(*run)), files=SERIES.files(*run),
                processes=processes(run[0]), always=time.time() if SERIES.of_the_user(run[0]) else None
        priority: len(SERIES.runs) - number
        threads: CORES if processes(run[0]) > 1 else max(1, CORES // JOBS)
        shell: "{PYTHON:q} {RUN_NOTEBOOK:q} --threads {threads} --processes {params.processes} {input[0]:q} {params.executed:q} {params.values:q}"
