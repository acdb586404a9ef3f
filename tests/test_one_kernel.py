"""Notebooks twice in one kernel: "Run All" again gives the same numbers and says the same.

The others, and how an interrupted training resumes, are in `test_language_model_notebooks.py`,
`test_fine_tuning.py` and `test_start_here.py`.
"""

import os
import re
from pathlib import Path

import matplotlib
import nbformat
import pandas as pd
import pytest
from fastai.learner import Learner
from IPython.core.interactiveshell import InteractiveShell
from simulate import simulate

from genomic_ulmfit.learners import SCALES, new_language_model
from genomic_ulmfit.results import read_results
from genomic_ulmfit.saved_models import save_model
from utils import KmerTokenizer
from workflow.experiments import (
    GENOMIC_DATA,
    IMPROVING,
    LANGUAGE_MODELS,
    NEEDS,
    NOTEBOOKS,
    SETTINGS,
    START,
    TWO_MODELS,
)
from workflow.given import notebook_parameters

ROOT = Path(__file__).resolve().parents[1]
TINY = dict(embedding=8, hidden=12, layers=3)
SMALL = dict(
    SPECIES=["Human"],
    LM_EPOCHS=1,
    STAGE_EPOCHS=[1, 1, 1, 1],
    CNN_EPOCHS=1,
    CNN_RUNS=1,
    CONTROLS=10,
    N_MARKED=1,
    N_GATHERED=2,
    N_HOSTS=2,
    N_MADE_UP=5,
    FEW=30,
)
# Of the notebooks that differ in parameters alone, the one whose models the others use.
NAMES = [n for n in NOTEBOOKS if n not in (START, GENOMIC_DATA, *LANGUAGE_MODELS, *SETTINGS[1:])]

KEPT = ("enhancers.csv", "variant_effects.csv")  # of results/
NONE = pd.DataFrame()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A hundred sequences and a language model that has learned nothing; one kernel; what has run in it."""
    folder = tmp_path_factory.mktemp("project")
    simulate(folder / "data/simulated", seed=1, genome_bases=20_000, sequences=60)
    with pytest.MonkeyPatch.context() as patched:
        matplotlib.use("agg")
        patched.setattr("matplotlib.pyplot.show", lambda: matplotlib.pyplot.close("all"))
        for kind in ("data", "artifacts", "results"):
            patched.setenv(f"GENOMIC_{kind.upper()}", str(folder / kind))
        patched.setattr("genomic_ulmfit.learners.code_version", lambda root: "x")
        patched.setitem(SCALES, "laptop", TINY)
        model = new_language_model(KmerTokenizer(4, 2), contexts=(6, 8), **TINY)
        facts = dict(direction="forward", predicts="bases", contexts="6 8", scale="laptop", profile="x")
        save_model(folder / "encoder", model, **facts)
        shell = InteractiveShell()
        shell.history_manager.enabled = False
        yield folder, shell, set()


def run_all(project, name) -> None:
    """Run every cell in the notebook's folder, with small values below its cells of parameters."""
    folder, shell, _ = project
    path = ROOT / NOTEBOOKS[name]
    known = notebook_parameters(path)
    encoder = str(folder / "encoder")
    given = SMALL | {"ENCODER": encoder, "LANGUAGE_MODELS": [encoder]}
    values = {k: v for k, v in given.items() if k in known}
    cells = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    last = max(
        i for i, c in enumerate(cells) if {"parameters", "more-parameters"} & set(c.metadata.get("tags", []))
    )
    os.chdir(path.parent)
    for i, cell in enumerate(cells):
        shell.run_cell(cell.source, store_history=False).raise_error()
        if i == last:
            shell.run_cell("\n".join(f"{k} = {v!r}" for k, v in values.items())).raise_error()


def run_what_it_needs(project, name) -> None:
    _, shell, done = project
    for needed in NEEDS[name]:
        if needed in NAMES and needed not in done:
            run_what_it_needs(project, needed)
            shell.reset(new_session=False)
            run_all(project, needed)
            done.add(needed)


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", NAMES)
def test_run_all_again_says_and_records_the_same(name, project, monkeypatch, capsys):
    """Also after an interrupt, in those that train and are not tested elsewhere."""
    folder, shell, done = project
    monkeypatch.chdir(ROOT)
    run_what_it_needs(project, name)
    shell.reset(new_session=False)
    if name in (TWO_MODELS, IMPROVING):
        with monkeypatch.context() as patched:
            patched.setattr(Learner, "one_batch", interrupt)
            with pytest.raises(KeyboardInterrupt):
                run_all(project, name)
    said, rows = [], []
    for _ in range(2):
        capsys.readouterr()
        run_all(project, name)
        said.append(told(capsys.readouterr().out))
        tables = [read_results(path) for name in KEPT if (path := folder / "results" / name).exists()]
        rows.append(pd.concat([table.drop(columns="seconds", errors="ignore") for table in tables] or [NONE]))
    done.add(name)
    assert said[0] == said[1]
    pd.testing.assert_frame_equal(*rows)


def told(printed: str) -> str:
    """Without bars of progress, times and addresses."""
    lines = [line for line in re.split(r"[\r\n]", printed) if not re.search(r"\|[█-]*\|", line)]
    return re.sub(r"\d+:\d\d|[\d.]+ (s|seconds|minutes)\b|0x\w+", "", "\n".join(lines))
