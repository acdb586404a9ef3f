"""Notebooks twice in one kernel: "Run All" again gives the same numbers and says the same.

The others, and how an interrupted training resumes, are in `test_language_model_notebooks.py`,
`test_fine_tuning.py` and `test_start_here.py`.
"""

import re
from pathlib import Path

import matplotlib
import nbformat
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from simulate import simulate

from genomic_ulmfit.learners import SCALES, new_language_model
from genomic_ulmfit.results import read_results
from genomic_ulmfit.saved_models import save_model
from utils import KmerTokenizer
from workflow.experiments import GENOMIC_DATA, LANGUAGE_MODELS, NOTEBOOKS, SETTINGS, START
from workflow.given import notebook_parameters

ROOT = Path(__file__).resolve().parents[1]
TINY = dict(embedding=8, hidden=12, layers=3)
SMALL = dict(
    SPECIES=["Human", "Mouse"],
    LM_EPOCHS=1,
    STAGE_EPOCHS=[1, 1, 1, 1],
    CNN_EPOCHS=1,
    CNN_RUNS=1,
    CONTROLS=10,
    N_MARKED=1,
    N_GATHERED=2,
    N_HOSTS=2,
    N_MADE_UP=5,
)
# Of the notebooks that differ in parameters alone, the one whose models the others use.
NAMES = [n for n in NOTEBOOKS if n not in (START, GENOMIC_DATA, *LANGUAGE_MODELS, *SETTINGS[1:])]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """One kernel in a project of a hundred sequences, with a language model that has learned nothing."""
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
        yield folder, shell


def run_all(folder, shell, name, capsys) -> str:
    """Run every cell, small values below the cells of parameters; what is printed, without times and bars."""
    path = ROOT / NOTEBOOKS[name]
    known = notebook_parameters(path)
    encoder = str(folder / "encoder")
    given = SMALL | {"ENCODER": encoder, "LANGUAGE_MODELS": [encoder]}
    values = {k: v for k, v in given.items() if k in known}
    cells = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    last = max(
        i for i, c in enumerate(cells) if {"parameters", "more-parameters"} & set(c.metadata.get("tags", []))
    )
    for i, cell in enumerate(cells):
        shell.run_cell(cell.source, store_history=False).raise_error()
        if i == last:
            shell.run_cell("\n".join(f"{k} = {v!r}" for k, v in values.items())).raise_error()
    lines = re.split(r"[\r\n]", capsys.readouterr().out)
    told = "\n".join(line for line in lines if not re.search(r"\|[█-]*\|", line))
    return re.sub(r"\d+:\d\d|[\d.]+ (s|seconds|minutes)\b|0x\w+", "", told)


@pytest.mark.parametrize("name", NAMES)
def test_run_all_again_says_and_records_the_same(name, kernel, monkeypatch, capsys):
    folder, shell = kernel
    monkeypatch.chdir((ROOT / NOTEBOOKS[name]).parent)
    shell.reset(new_session=False)
    said, rows = [], []
    for _ in range(2):
        said.append(run_all(folder, shell, name, capsys))
        found = [read_results(path).drop(columns="seconds") for path in sorted(folder.glob("results/*.csv"))]
        rows.append(pd.concat(found) if found else pd.DataFrame())
    assert said[0] == said[1]
    pd.testing.assert_frame_equal(*rows)
