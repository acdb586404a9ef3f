"""The notebooks of language models, cell by cell: run twice, interrupted, with other settings."""

from pathlib import Path

import matplotlib
import nbformat
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from naive import random_sequences

from genomic_ulmfit import profiles
from genomic_ulmfit.checkpoints import Checkpoints
from genomic_ulmfit.learners import SCALES
from genomic_ulmfit.results import read_results, select
from genomic_ulmfit.saved_models import load_language_model
from utils import KmerTokenizer

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = {path.name[8:12]: path for path in ROOT.glob("Genomic Language Models/*.ipynb")}
SMALL = dict(PROFILE="pilot", SCALE="tiny", EPOCHS=1, ROWS=4, BPTT=32, VALID_BASES=2000)
DATA = dict(PROFILE="pilot", MARKOV_ORDER=2)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Genomes of two species, of which `locus2` is held out.

    One kernel, in which the corpus has been made.
    """
    folder = tmp_path_factory.mktemp("project")
    (folder / "data/genomes").mkdir(parents=True)
    for seed, species in enumerate(("cat", "dog")):
        one, two = random_sequences(2, 3000, seed)
        (folder / f"data/genomes/{species}.fa").write_text(f">locus1\n{one}\n>locus2\n{two}\n")
    with pytest.MonkeyPatch.context() as patched:
        matplotlib.use("agg")
        patched.setattr("matplotlib.pyplot.show", lambda: None)
        patched.setenv("GENOMIC_RESULTS", str(folder / "results"))
        patched.setattr(
            profiles, "profile_paths", lambda profile: (profile, folder / "data", folder / "artifacts")
        )
        patched.setitem(SCALES, "tiny", dict(embedding=8, hidden=12, layers=2))
        patched.chdir(ROOT / "Genomic Language Models")
        shell = InteractiveShell()
        shell.history_manager.enabled = False
        run_all(shell, "LM 0", **DATA)
        yield folder, shell


def run_all(shell, notebook, **values):
    """Run every cell; `values` come below the last cell of parameters, as a workflow puts them."""
    cells = [c for c in nbformat.read(NOTEBOOKS[notebook], 4).cells if c.cell_type == "code"]
    last = max(
        i for i, c in enumerate(cells) if {"parameters", "more-parameters"} & set(c.metadata.get("tags", []))
    )
    for i, cell in enumerate(cells):
        shell.run_cell(cell.source, store_history=False).raise_error()
        if i == last:
            shell.run_cell("\n".join(f"{name} = {value!r}" for name, value in values.items())).raise_error()


def rows(folder):
    return select(read_results(folder / "results/language_models.csv"), predicts="bases")


def test_run_all_twice_and_after_an_interrupt_in_one_kernel(project, monkeypatch, capsys):
    folder, shell = project
    run_all(shell, "LM 2", **SMALL)
    printed = capsys.readouterr().out
    assert (
        "changed: PROFILE = pilot, SCALE = tiny, EPOCHS = 1, ROWS = 4, BPTT = 32, VALID_BASES = 2000\n"
        in printed
    )
    first = rows(folder).drop(columns="seconds")
    with monkeypatch.context() as patched:
        written = Checkpoints._write

        def write_and_stop(*arguments):
            written(*arguments)
            raise KeyboardInterrupt

        patched.setattr(Checkpoints, "_write", write_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run_all(shell, "LM 2", **SMALL)
    assert list(folder.glob("artifacts/language_models/*/training.ckpt"))
    run_all(shell, "LM 2", **SMALL)
    assert "starting from the beginning" not in capsys.readouterr().out
    pd.testing.assert_frame_equal(rows(folder).drop(columns="seconds"), first)


def test_a_trial_replaces_neither_model_nor_row_and_says_how_it_differs(project, capsys):
    folder, shell = project
    for changed in ({}, {"LR": 0.02}, {"DROP_MULT": 0.0}, {"BPTT": 16}):
        run_all(shell, "LM 2", **SMALL | changed)
    run_all(shell, "LM 0", **DATA | {"HELD_OUT": "nothing matches"})
    run_all(shell, "LM 2", **SMALL)
    table = rows(folder)
    assert (
        len(table) == 5
        and table.settings.nunique() == 4
        and table.corpus_hash.nunique() == 2
        and table.weights_hash.nunique() == 5
    )
    for row in table.to_dict("records"):
        (model,) = folder.glob(
            f"artifacts/language_models/*_settings-{row['settings']}_corpus-{row['corpus_hash']}"
        )
        config = load_language_model(model, KmerTokenizer(4, 2))[1]
        assert (
            config["weights_sha256"].startswith(row["weights_hash"]) and config["settings"] == row["settings"]
        )
    markov = select(read_results(folder / "results/language_models.csv"), predicts="markov")
    assert set(markov.corpus_hash) == set(table.corpus_hash), "each corpus has its own reference"


@pytest.mark.parametrize(("notebook", "k", "stride"), [("LM 1", 5, 2), ("LM 2", 4, 2), ("LM 3", 3, 1)])
def test_the_first_cell_says_what_the_rows_say(notebook, k, stride):
    text = nbformat.read(NOTEBOOKS[notebook], 4).cells[0].source
    results = read_results(ROOT / "results/language_models.csv")
    named = [profile for profile in ("pilot", "mammals") if f"On `{profile}`" in text]
    assert named
    for profile in named:
        of_profile = select(results, profile=profile)
        model = select(of_profile, k=k, stride=stride, predicts="bases").bits_per_base.min()
        markov = select(of_profile, predicts="markov").sort_values("bits_per_base").iloc[0]
        assert f"needs {model:.3f} bits per base" in text
        assert f"{markov.bits_per_base:.3f} (order {markov.contexts})" in text
