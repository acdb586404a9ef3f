"""How `models/` is made: the figures of a card are those of sequences that were held out."""

import json

import numpy as np
import pandas as pd
import pytest
from naive import random_sequences
from tiny import tiny_scorer

from genomic_ulmfit import profiles
from genomic_ulmfit.files import write_table
from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.learners import new_language_model
from genomic_ulmfit.metrics import classification_metrics
from genomic_ulmfit.saved_models import save_model
from genomic_ulmfit.scoring import Scorer
from utils import KmerTokenizer
from workflow import ship_models

SETTING = "3-mer_stride-1_forward_bases_laptop_seed-0"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The table of sequences and the folders that were written.

    GC tells the classes, but in the last fold.
    """
    root, rng = tmp_path_factory.mktemp("project"), np.random.default_rng(0)
    artifacts = profiles.profile_paths("pilot", root)[2]
    label, fold = np.arange(200) % 2, np.arange(200) // 2 % ship_models.FOLDS
    rich = np.where((fold == ship_models.FOLDS - 1) & (rng.random(200) < 0.5), 1 - label, label)
    sequences = [random_sequences(1, 100, i, gc=0.65 if gc else 0.35)[0] for i, gc in enumerate(rich)]
    ids = [f"s{i}" for i in range(200)]
    table = pd.DataFrame(
        {
            "id": ids,
            "sequence": sequences,
            "label": label,
            "split": "train",
            "fold": fold,
            "group": np.arange(200),
            "grouped_fold": fold,
            "matched": True,
        }
    )
    write_table(artifacts / "enhancers/Human.parquet", table)
    facts = dict(profile="pilot", direction="forward", scale="laptop", seed=0, version="1234567")
    language_model = new_language_model(KmerTokenizer(3, 1), embedding=8, hidden=12, layers=2)
    place = artifacts / "language_models" / SETTING
    save_model(place, language_model, bases_seen=1000, bits_per_base=1.9, **facts)
    folder = artifacts / "classifiers" / f"{ship_models.RECIPE}_{SETTING}_folds/Human_{ship_models.FOLDS - 1}"
    save_model(folder, tiny_scorer().model, n_train=160, fold=ship_models.FOLD, **facts)
    return table, ship_models.ship("pilot", root)


def test_the_figures_of_a_card_are_those_of_its_own_test_sequences(shipped):
    table, folders = shipped
    (folder,) = (path for path in folders if path.name.startswith("human"))
    found = json.loads((folder / "config.json").read_text())["test"]
    held_out = table[table.fold == ship_models.FOLDS - 1]
    scored = Scorer.load(folder).probabilities([encode_bases(s) for s in held_out.sequence])
    expected = classification_metrics(held_out.label, scored)
    assert found["n_test"] == len(held_out) == 40
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-4), name
    others = table[table.fold != ship_models.FOLDS - 1]
    scored = Scorer.load(folder).probabilities([encode_bases(s) for s in others.sequence])
    # Otherwise the test could not tell.
    assert classification_metrics(others.label, scored)["auroc"] > found["auroc"] + 0.1
    card = (folder / "README.md").read_text()
    assert f"{expected['auroc']:.3f} ({expected['auroc_low']:.3f}-{expected['auroc_high']:.3f})" in card
