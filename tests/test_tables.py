"""Tables against the rows they are made from, and the markers in READMEs."""

import math
from pathlib import Path

import pandas as pd
import pytest
from rows import enhancer_row, gc_row, language_model_row
from scipy.stats import norm

from genomic_ulmfit import tables
from genomic_ulmfit.results import read_published, read_results, save_result
from workflow import show_tables

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def project(tmp_path):
    """A project folder with a few runs and the published figures."""
    results = tmp_path / "results"
    for row in [
        enhancer_row(),
        enhancer_row(fold=0, auroc=0.99),
        enhancer_row(split="original", fold="test", auroc=0.98),
        enhancer_row(species="Mouse", auroc=0.87, n_test=2800, version="89abcde"),
        gc_row(auroc=0.734),
        enhancer_row(split="grouped", fold="test", auroc=0.79),
        enhancer_row(profile="full", auroc=0.6),
        enhancer_row(
            model="ulmfit_scratch", k=3, stride=1, split="original", fold="test", auroc=0.71, predicts="kmer"
        ),
    ]:
        save_result(results / "enhancers.csv", row)
    save_result(results / "language_models.csv", language_model_row())
    save_result(
        results / "language_models.csv",
        language_model_row(
            k=None, stride=1, predicts="markov", contexts="10", scale=None, bits_per_base=1.872, accuracy=None
        ),
    )
    (results / "published.csv").write_bytes((ROOT / "results" / "published.csv").read_bytes())
    for name in ["README.md", "Genomic Language Models/README.md", "Enhancer Classification/README.md"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("# Title\n\nNo table.\n")
    return tmp_path


def frames(project):
    results = project / "results"
    return [read_results(results / "enhancers.csv"), read_published(results / "published.csv")]


def test_auc_table_prefers_pooled_rows_and_never_shows_folds(project):
    table = tables.auc_table(*frames(project), "pilot")
    assert list(table.columns) == [
        "model",
        "Human",
        "Mouse",
        "Dog",
        "Opossum",
        "n",
        "minutes",
        "scale",
        "split",
        "seed",
        "commit",
    ]
    published = table[table["model"].str.endswith("(published, not rerun)")]
    assert published.index.tolist() == list(range(len(published)))
    assert [model.removesuffix(" (published, not rerun)") for model in published["model"]][:5] == [
        "Cohn et al. CNN",
        "Genomic-ULMFiT 5-mer stride 2",
        "Genomic-ULMFiT 4-mer stride 2",
        "Genomic-ULMFiT 3-mer stride 1",
        "Cohn et al. CNN on all 17 species",
    ]
    five_mer = published.iloc[1][["Human", "Mouse", "Dog", "Opossum", "n"]]
    assert five_mer.tolist() == ["0.812", "0.871", "0.773", "0.787", "2,800"]
    ours = table.iloc[len(published) :].reset_index(drop=True)
    assert ours["model"].tolist() == [
        "GC content",
        "ULMFiT from scratch 3-mer stride 1, predicts k-mers, contexts 3 6 9",
        *["ULMFiT 5-mer stride 2, contexts 3 6 9"] * 2,
    ]
    assert ours["Human"].tolist() == [f"{auc} (0.800–0.820)" for auc in ("0.734", "0.710", "0.812", "0.790")]
    assert ours["split"].tolist() == ["folds (oof)", "original (test)", "folds (oof)", "grouped (test)"]
    assert ours["Mouse"].tolist() == ["–", "–", "0.870 (0.800–0.820)", "–"]
    assert ours.loc[2, ["n", "commit"]].tolist() == ["6,948 / 2,800", "1234567 / 89abcde"]
    assert ours.loc[0, ["Dog", "scale"]].tolist() == ["–", "–"]


SUMMARY = [
    enhancer_row(model="ulmfit", k=3, stride=1, auroc=0.799),
    enhancer_row(model="ulmfit_kmers", k=4, stride=2, auroc=0.821, accuracy=0.741, n_train=5002),
    enhancer_row(model="ulmfit_kmers", k=4, stride=2, auroc=0.999, seed=1),
    enhancer_row(model="ulmfit_kmers", k=4, stride=2, auroc=0.999, trial="trial"),
    gc_row(model="gapped_kmer_logistic", auroc=0.82),
]


def test_the_summary_holds_eight_models_at_most_and_no_trial(project):
    for row in SUMMARY:
        save_result(project / "results/enhancers.csv", row)
    table = tables.summary_table(*frames(project), "pilot").set_index("model")
    assert table.index.tolist() == [
        "Cohn et al. CNN (published, not rerun)",
        "Genomic-ULMFiT 3-mer stride 1 (published, not rerun)",
        "DNABERT-2 frozen (published, not rerun)",
        "GC content",
        "gapped k-mer regression",
        "ULMFiT, 5-mer stride 2",
        "ULMFiT from k-mer log-odds, 4-mer stride 2 (shipped)",
    ]
    assert table["ROC-AUC"].tolist()[:4] == ["0.80", "0.819", "0.833", "0.734 (0.800–0.820)"]
    assert table.loc["DNABERT-2 frozen (published, not rerun)"].tolist() == [
        "20,843",
        "6,948",
        "0.833",
        "0.757",
    ]
    assert table.iloc[-1].tolist() == ["5,002", "6,948", "0.821 (0.800–0.820)", "0.741"]
    assert tables.summary_table(*frames(project), "simulated").empty


def test_the_picture_is_drawn_when_the_rows_of_the_summary_change(project):
    for row in SUMMARY:
        save_result(project / "results/enhancers.csv", row)
    (project / "README.md").write_text("<!-- table: summary pilot -->\n<!-- /table -->\n")
    picture = project / "figures/results.svg"
    assert show_tables.update_tables(project, check=True) == [project / "README.md", picture]
    assert not picture.exists()
    show_tables.update_tables(project)
    assert show_tables.update_tables(project, check=True) == []
    text = picture.read_text()
    assert (
        text.startswith("<?xml") and "DNABERT-2 frozen (published, not rerun) 0.833; GC content 0.734" in text
    )
    save_result(project / "results/enhancers.csv", gc_row(auroc=0.735))
    assert show_tables.update_tables(project, check=True) == [project / "README.md", picture]


def test_rows_of_fewer_sequences_stand_in_no_table(project):
    before = tables.auc_table(*frames(project), "pilot")
    save_result(project / "results/enhancers.csv", enhancer_row(trial="n300", n_train=300))
    # Such a name is a trial like any other.
    save_result(project / "results/enhancers.csv", enhancer_row(trial="n400", n_train=5558))
    results, published = frames(project)
    assert results.loc[tables.on_fewer_sequences(results), "trial"].tolist() == ["n300"]
    assert len(tables.auc_table(results, published, "pilot")) == len(before) + 1


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "ULMFiT 5-mer stride 2, contexts 3 6 9"),
        (
            {"trial": "one_strand", "contexts": "", "direction": "backward"},
            "ULMFiT 5-mer stride 2, one strand, backward",
        ),
        (
            {"scale": "paper", "predicts": "kmer", "encoder": "full"},
            "ULMFiT 5-mer stride 2, predicts k-mers, contexts 3 6 9, paper scale, encoder of full",
        ),
        ({"model": "new_one", "k": pd.NA, "stride": pd.NA, "contexts": "", "encoder": ""}, "new one"),
    ],
)
def test_a_setting_is_named_by_what_is_not_the_default(changes, name):
    assert tables.setting_name(enhancer_row(**changes)) == name


def test_new_models_stand_among_baselines_or_ulmfit(project):
    for model in ("ulmfit_tta", "svm_gapped"):
        save_result(project / "results" / "enhancers.csv", gc_row(model=model))
    models = tables.auc_table(*frames(project), "pilot")["model"].tolist()
    assert (
        models.index("GC content") < models.index("svm gapped") < len(models) - 2
        and models[-1] == "ulmfit tta"
    )


def test_tables_of_a_profile_without_results_show_the_published_rows(project):
    results, published = frames(project)
    for table in (
        tables.auc_table(results, published, "mine"),
        tables.threshold_table(results, published, "mine"),
    ):
        assert len(table) >= 12 and table["model"].str.endswith("(published, not rerun)").all()


def test_threshold_table(project):
    table = tables.threshold_table(*frames(project), "pilot")
    assert table["species"].drop_duplicates().tolist() == ["Human", "Mouse", "Dog", "Opossum"]
    human = table[table["species"] == "Human"].set_index("model")
    five_mer = human.loc["Genomic-ULMFiT 5-mer stride 2 (published, not rerun)"]
    assert five_mer[["accuracy", "precision", "recall", "MCC"]].tolist() == ["0.726", "0.717", "0.745", "–"]
    assert human.loc["GENERator fine-tuned (published, not rerun)", ["accuracy", "n"]].tolist() == [
        "0.763",
        "6,948",
    ]
    # Wilson bounds for 5211 of 6948, from the formula
    n, p, z = 6948, 0.75, norm.ppf(0.975)
    centre, half = p + z * z / 2 / n, z * math.sqrt(p * (1 - p) / n + (z / 2 / n) ** 2)
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    assert human.loc["GC content", ["accuracy", "specificity", "MCC"]].tolist() == [
        f"0.750 ({low:.3f}–{high:.3f})",
        "0.700",
        "0.500",
    ]


def test_language_model_table(project):
    results = read_results(project / "results" / "language_models.csv")
    table = tables.language_model_table(results, frames(project)[1], "pilot").set_index("model")
    assert table.index.tolist()[2:] == ["Markov model", "AWD-LSTM"]
    assert table.loc[
        "Genomic-ULMFiT 4-mer stride 2 (published, not rerun)", ["loss", "bits per base"]
    ].tolist() == ["2.1067", "1.520"]
    markov = table.loc["Markov model"]
    assert markov[["k", "contexts", "bits per base", "accuracy"]].tolist() == ["–", "10", "1.872", "–"]
    assert table.loc["AWD-LSTM", ["k", "bases seen", "loss", "perplexity", "seconds", "commit"]].tolist() == [
        "5",
        "123,456,789",
        "2.5000",
        "12.20",
        "900",
        "abc",
    ]


def test_update_tables_writes_what_check_then_accepts(project, capsys):
    readme = project / "README.md"
    readme.write_text(
        "# Title\n<!-- table: auc pilot -->\nold\n<!-- /table -->\nbetween\n"
        "<!-- table: language_models pilot -->\n<!-- /table -->\nend\n"
    )
    before = readme.read_text()
    assert show_tables.update_tables(project, check=True) == [readme]
    assert readme.read_text() == before
    assert show_tables.main(["--root", str(project), "update", "--check"]) == 1
    assert "README.md: out of step" in capsys.readouterr().out
    assert show_tables.update_tables(project) == [readme]
    text = readme.read_text()
    assert "| GC content | 0.734 (0.800–0.820) | – |" in text and "\nold\n" not in text
    assert text.startswith("# Title\n<!-- table: auc pilot -->\n") and text.endswith("<!-- /table -->\nend\n")
    assert "Profile `pilot`. ROC-AUC with its 95 % interval" in text and "\nbetween\n" in text
    assert (
        show_tables.update_tables(project) == []
        and show_tables.main(["--root", str(project), "update", "--check"]) == 0
    )
    save_result(project / "results" / "enhancers.csv", gc_row(auroc=0.735))
    assert show_tables.update_tables(project, check=True) == [readme]


def test_pipes_do_not_break_the_markdown(project):
    save_result(project / "results" / "enhancers.csv", gc_row(scale="a|b"))
    (project / "README.md").write_text("<!-- table: auc pilot -->\n<!-- /table -->\n")
    show_tables.update_tables(project)
    assert r"| a\|b |" in (project / "README.md").read_text()


@pytest.mark.parametrize(
    "text, message",
    [
        ("a\n<!-- table: auc pilot -->\n", "line 2: the table marker is not closed"),
        (
            "<!-- table: auc pilot -->\n<!-- table: auc full -->\n<!-- /table -->\n",
            "line 1: the table marker is not",
        ),
        ("<!-- /table -->\n", "line 1: .* not opened"),
        ("<!-- table: auk pilot -->\n<!-- /table -->\n", "line 1: unknown table 'auk pilot'"),
        ("<!-- table: auc pilo -->\n<!-- /table -->\n", "line 1: unknown table 'auc pilo'"),
    ],
)
def test_bad_markers_are_named_and_nothing_is_written(project, text, message):
    (project / "README.md").write_text("<!-- table: auc pilot -->\n<!-- /table -->\n")
    last = project / "Enhancer Classification" / "README.md"
    last.write_text(text)
    with pytest.raises(ValueError, match=rf"README\.md, {message}"):
        show_tables.update_tables(project)
    assert (project / "README.md").read_text() == "<!-- table: auc pilot -->\n<!-- /table -->\n"


def test_show_prints_the_tables_of_a_profile(project, capsys):
    assert show_tables.main(["--root", str(project), "show", "pilot"]) == 0
    output = capsys.readouterr().out
    assert "0.734 (0.800–0.820)" in output and "Markov model" in output
    mine = project / "data/mine"
    mine.mkdir(parents=True)
    # An empty folder, or one of which nothing was trained.
    assert show_tables.main(["--root", str(project), "show", str(mine)]) == 0
    assert capsys.readouterr().out == "no results of profile mine yet\n"
    save_result(project / "results/enhancers.csv", gc_row(profile="mine", auroc=0.777))
    assert show_tables.main(["--root", str(project), "show", str(mine)]) == 0
    assert "0.777 (0.800–0.820)" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="PROFILE='nobodys'"):
        show_tables.main(["--root", str(project), "show", "nobodys"])


# ---- which rows are compared with which ----


def results_of(tmp_path, *rows):
    for row in rows:
        save_result(tmp_path / "enhancers.csv", row)
    return read_results(tmp_path / "enhancers.csv")


def test_rows_of_training_sets_that_are_no_species_stand_in_no_table(project):
    before = tables.auc_table(*frames(project), "pilot")
    for species in ("All", "All but Mouse", "560 of Human"):
        save_result(project / "results/enhancers.csv", enhancer_row(species=species))
    save_result(project / "results/enhancers.csv", enhancer_row(species="Alligator"))
    results, published = frames(project)
    here = results[tables.on_another_species(results)]
    assert here["species"].tolist() == ["560 of Human", "All", "All but Mouse"]
    added = set(tables.auc_table(results, published, "pilot").columns) - set(before.columns)
    assert added == {"Alligator"}


def test_a_label_hides_no_model_and_makes_none_look_like_another(project):
    results = project / "results/enhancers.csv"
    for row in [
        enhancer_row(trial="from_scratch", auroc=0.811),
        enhancer_row(trial="from_mouse", auroc=0.822),
        enhancer_row(trial="kmers", auroc=0.833),
        enhancer_row(model="ulmfit_kmers", auroc=0.844),
        enhancer_row(trained_on="Mouse", auroc=0.555),
    ]:
        save_result(results, row)
    table = tables.auc_table(*frames(project), "pilot").set_index("Human").model
    for auc, name in {
        "0.811": "ULMFiT 5-mer stride 2, from scratch",
        "0.822": "ULMFiT 5-mer stride 2, from mouse",
        "0.833": "ULMFiT 5-mer stride 2, kmers",
        "0.844": "ULMFiT from k-mer log-odds 5-mer stride 2",
    }.items():
        assert table[f"{auc} (0.800–0.820)"] == f"{name}, contexts 3 6 9"
    assert not table.index.str.startswith("0.555").any(), (
        "what carries over from another species is another question"
    )


def test_settings_and_encoders_are_told_apart_where_they_differ(tmp_path):
    rows = results_of(
        tmp_path,
        enhancer_row(contexts=""),
        enhancer_row(contexts="", settings="0a0a0a0a"),
        enhancer_row(contexts="", settings="0a0a0a0a", encoder_hash="0b0b0b0b"),
        enhancer_row(contexts="", scale="desktop"),
    )
    assert tables.setting_names(rows).tolist() == [
        "ULMFiT 5-mer stride 2, desktop scale",
        "ULMFiT 5-mer stride 2",
        "ULMFiT 5-mer stride 2, settings 0a0a0a0a, encoder hash not recorded",
        "ULMFiT 5-mer stride 2, settings 0a0a0a0a, encoder hash 0b0b0b0b",
    ]
    names = [
        "5-mer stride 2, scale laptop, settings of the notebook",
        *["5-mer stride 2, scale laptop, settings 0a0a0a0a"] * 2,
    ]
    assert tables.token_names(rows).tolist() == ["5-mer stride 2, scale desktop", *names]
    assert tables.token_names(rows.iloc[2:]).unique().tolist() == ["5-mer stride 2"]
    trial = results_of(tmp_path, gc_row(), enhancer_row(trial="trial", settings="0f0f0f0f", contexts=""))
    assert set(tables.token_names(trial)) == {"", "5-mer stride 2", *names, "5-mer stride 2, scale desktop"}


def test_a_lever_compares_models_that_differ_in_it_alone(tmp_path):
    new = {"contexts": "6 8", "encoder_hash": "0a0a0a0a"}
    scratch = {"model": "ulmfit_scratch", "encoder": "", "contexts": "6 8"}
    rows = results_of(
        tmp_path,
        enhancer_row(**new),
        enhancer_row(contexts=""),
        enhancer_row(**new, scale="paper"),
        enhancer_row(**new, settings="0c0c0c0c"),
        enhancer_row(**scratch),
        enhancer_row(**scratch, direction="backward"),
        enhancer_row(**scratch, seed=1),
        enhancer_row(**scratch, species="Dog"),
        enhancer_row(**new, trial="one_strand", settings="0d0d0d0d"),
        gc_row(),
        gc_row(species="Dog"),
        enhancer_row(model="ulmfit_no_finetuning", **new),
        enhancer_row(model="ulmfit_no_finetuning", **new | {"encoder_hash": "0b0b0b0b"}),
    )

    def found(with_it, without):
        columns = ["contexts", "scale", "settings", "encoder_hash"]
        return [
            tuple(rows.loc[i, columns]) for pair in tables.lever_pairs(rows, with_it, without) for i in pair
        ]

    main = ("6 8", "laptop", "", "0a0a0a0a")
    assert found("ulmfit", "ulmfit_scratch") == [main, ("6 8", "laptop", "", "")]
    assert found("ulmfit", "ulmfit one_strand") == [main, ("6 8", "laptop", "0d0d0d0d", "0a0a0a0a")] + [
        ("6 8", "laptop", "0c0c0c0c", "0a0a0a0a"),
        ("6 8", "laptop", "0d0d0d0d", "0a0a0a0a"),
    ]
    assert found("ulmfit", "ulmfit_no_finetuning") == [main, main]
    assert (
        len(tables.lever_pairs(rows, "ulmfit", "gc")) == 4 and len(tables.lever_pairs(rows, "gc", "gc")) == 2
    )


def test_of_several_candidates_one_is_taken_and_all_are_named(tmp_path, capsys):
    rows = results_of(
        tmp_path,
        *(
            enhancer_row(fold=fold, **changes)
            for fold in ("oof", 0)
            for changes in (
                {},
                {"encoder_hash": "0a0a0a0a"},
                {"encoder_hash": "0b0b0b0b", "settings": "0c0c0c0c"},
                {"k": 3, "stride": 1},
            )
        ),
    )
    kept = tables.one_of_each(rows, ["species", "model", "k", "stride"])
    assert kept[["k", "fold", "encoder_hash", "settings"]].to_numpy().tolist() == [
        [3, "oof", "", ""],
        [3, "0", "", ""],
        [5, "oof", "0a0a0a0a", ""],
        [5, "0", "0a0a0a0a", ""],
    ]
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith("Human: 3 candidates, ") and said.endswith(
        "Taken: ULMFiT 5-mer stride 2, contexts 3 6 9, encoder hash 0a0a0a0a"
    )
    assert "not recorded" in said and "settings 0c0c0c0c" in said
    tables.one_of_each(kept, ["species", "model", "k", "stride"])
    assert not capsys.readouterr().out


def test_a_learning_curve_holds_one_recipe_at_several_sizes(tmp_path, capsys):
    rows = results_of(
        tmp_path,
        *(
            enhancer_row(fold=fold, **changes)
            for fold in (0, 1)
            for changes in (
                {},
                {"settings": "0a0a0a0a"},
                {"trial": "n300", "n_train": 300, "settings": "0b0b0b0b"},
                {"trial": "trial"},
                {"trained_on": "Mouse"},
            )
        ),
    )
    curve = tables.learning_curve_rows(rows)
    assert (
        curve[["n", "settings"]].drop_duplicates().to_numpy().tolist() == [[5560, ""], [300, "0b0b0b0b"]]
        and len(curve) == 4
    )
    assert curve.setting.nunique() == 1 and "Taken: ULMFiT 5-mer stride 2" in capsys.readouterr().out


def test_pretraining_is_that_of_the_encoder_itself_or_unknown():
    rows = [
        language_model_row(seconds=100.0),
        language_model_row(settings="0a0a0a0a", weights_hash="0b0b0b0b", seconds=200.0),
        language_model_row(
            settings="0a0a0a0a", corpus_hash="0d0d0d0d", weights_hash="0c0c0c0c", seconds=300.0
        ),
    ]
    models = pd.DataFrame(rows)
    seconds = [
        tables.pretraining_seconds(enhancer_row(**changes), models)
        for changes in (
            {},
            {"encoder_hash": "0b0b0b0b"},
            {"encoder_hash": "0c0c0c0c"},
            {"encoder": ""},
            {"encoder_hash": "0f0f0f0f"},
            {"seed": 7},
        )
    ]
    assert seconds[:4] == [100, 200, 300, 0] and all(map(math.isnan, seconds[4:]))


def test_an_ensemble_is_known_by_its_members(tmp_path):
    rows = results_of(tmp_path, enhancer_row(), enhancer_row(k=3), enhancer_row(k=3, encoder_hash="0a0a0a0a"))
    hashes = [tables.members_hash(rows.iloc[chosen]) for chosen in ([0, 1], [1, 0], [0, 2], [1, 2])]
    assert hashes[0] == hashes[1] and len(set(hashes)) == 3


def test_published_figures_agree_with_their_unrounded_values():
    published = read_published(ROOT / "results" / "published.csv")
    unrounded = published[published["value_unrounded"] != ""].astype(
        {"value": float, "value_unrounded": float}
    )
    assert len(unrounded) == 18 and ((unrounded["value"] - unrounded["value_unrounded"]).abs() < 1e-3).all()
    assert not published.duplicated(["source", "model", "species", "metric"]).any()
    assert (published["citation"] != "").all()


def test_simulated_results_stand_alone():
    """A made-up sequence set beside published figures would look like a comparison."""
    results = read_results(ROOT / "results/enhancers.csv")
    published = read_published(ROOT / "results/published.csv")
    simulated = results.assign(profile="simulated")
    for make in (tables.auc_table, tables.threshold_table):
        assert not make(simulated, published, "simulated")["model"].str.contains("published").any()
        assert make(results, published, "pilot")["model"].str.contains("published").any()


def test_every_cell_is_of_its_own_row(project):
    """Three models, three species: no figure may stand in another's place, none be lost or shown twice."""
    path, aucs = project / "results/enhancers.csv", {}
    path.unlink()
    models = {
        "multi_kmer_logistic": "logistic regression, 1- to 7-mers",
        "kmer_boosting": "k-mer boosting",
        "cohn_cnn": "CNN of Cohn et al., retrained",
    }
    for i, (model, name) in enumerate(models.items()):
        for j, species in enumerate(["Mouse", "Cow", "Human"]):
            if (model, species) == ("cohn_cnn", "Cow"):
                continue
            aucs[name, species] = auc = 0.6 + 0.1 * i + 0.011 * j
            save_result(
                path,
                gc_row(
                    model=model,
                    species=species,
                    auroc=auc,
                    auroc_low=auc - 0.01,
                    auroc_high=auc + 0.01,
                    accuracy=auc - 0.05,
                    n_test=1000 + 100 * i + j,
                    seconds=60.0 * 10**j,
                ),
            )
            save_result(path, gc_row(model=model, species=species, auroc=0.5, seed=1))
            save_result(path, gc_row(model=model, species=species, auroc=0.55, profile="full"))
    table = tables.auc_table(*frames(project), "pilot")
    ours = table[~table.model.str.endswith("rerun)") & (table.seed == "0")]
    cells = {
        (row.model, species): row[species]
        for _, row in ours.iterrows()
        for species in ("Human", "Mouse", "Cow")
        if row[species] != "–"
    }
    assert cells == {key: f"{auc:.3f} ({auc - 0.01:.3f}–{auc + 0.01:.3f})" for key, auc in aucs.items()}
    assert sorted(ours.minutes) == ["101.0", "111.0", "111.0"]  # of all species of a row together
    table = tables.threshold_table(*frames(project), "pilot")
    ours = table[~table.model.str.endswith("rerun)") & (table.seed == "0")]
    found = {(row.model, row.species): row.accuracy[:5] for row in ours.itertuples()}
    assert found == {key: f"{auc - 0.05:.3f}" for key, auc in aucs.items()}


def rows_of(*changes):
    return pd.DataFrame([enhancer_row(**change) for change in changes]).astype(
        {"k": "Int64", "stride": "Int64"}
    )


def test_short_names_hold_what_tells_models_apart_and_no_more():
    blank = dict(scale="", k=None, stride=None, contexts="", direction="", predicts="", encoder="")
    rows = rows_of({}, {"k": 4}, {"model": "kmer_logistic", **blank, "k": 6}, {"model": "gc", **blank})
    assert list(tables.short_names(rows)) == [
        "ULMFiT, 5-mer stride 2",
        "ULMFiT, 4-mer stride 2",
        "6-mer regression",
        "GC content",
    ]
    rows = rows_of({}, {"direction": "backward"}, {"trial": "other", "settings": "abc"})
    assert list(tables.short_names(rows)) == [
        "ULMFiT, 5-mer stride 2, direction forward",
        "ULMFiT, 5-mer stride 2, direction backward",
        "ULMFiT, 5-mer stride 2",
    ]


def test_rows_of_a_whole_set_are_pooled_ones_where_there_are_any_and_no_trials():
    rows = rows_of(
        {},
        {"fold": "3"},
        {"split": "original", "fold": "test"},
        {"species": "Mouse", "split": "original", "fold": "test"},
        {"split": "grouped"},
        {"trial": "one_strand"},
        {"trained_on": "Mouse"},
        {"trial": "n300", "n_train": 300},
    )
    assert list(tables.whole_set_rows(rows).index) == [0, 3]


def test_species_stand_side_by_side_in_the_order_of_the_rows():
    cells = [
        {"species": "Mouse", "model": "b", "AUC": "0.9"},
        {"species": "Human", "model": "b", "AUC": "0.8"},
        {"species": "Human", "model": "a", "AUC": "0.7", "p": "0.1"},
    ]
    table = tables.side_by_side(cells).data
    assert table.to_numpy().tolist() == [["b", "0.9", "–", "0.8", "–"], ["a", "–", "–", "0.7", "0.1"]]
    assert list(table.columns)[1:] == [("Mouse", "AUC"), ("Mouse", "p"), ("Human", "AUC"), ("Human", "p")]
    assert list(tables.side_by_side(cells[1:]).data.columns) == ["model", "AUC", "p"]
    assert tables.side_by_side([]) == "no such results in this profile yet"


def test_published_models_on_one_test_set_have_what_their_notes_say():
    published = read_published(ROOT / "results/published.csv")
    table = tables.published_on(published, 6948).set_index("model")
    assert table.loc["GENERator, fine-tuned"].to_dict() == {
        "accuracy": 0.763,
        "AUC": pytest.approx(math.nan, nan_ok=True),
        "labels": "20,843",
        "parameters": "1.2 billion",
    }
    assert table.loc["DNABERT-2, frozen", ["accuracy", "AUC"]].tolist() == [0.757, 0.833]
    assert table.accuracy.dropna().is_monotonic_decreasing and set(table.labels) == {"20,843"}


def test_verdict_on_a_language_model_names_the_markov_model_of_its_corpus():
    def row(profile, predicts, bits, corpus, contexts=""):
        return dict(
            profile=profile,
            k=4,
            stride=2,
            predicts=predicts,
            bits_per_base=bits,
            corpus_hash=corpus,
            contexts=contexts,
            bases_seen=310e6,
        )

    rows = pd.DataFrame([
        row("mammals", "bases", 1.764, "a"), row("mammals", "bases", 1.9, "b"),
        row("mammals", "markov", 1.81, "a", "24"), row("mammals", "markov", 1.7, "b", "12"),
        row("pilot", "bases", 1.782, "c"), row("simulated", "bases", 1.5, "d"),
    ])  # fmt: skip
    assert tables.language_model_verdict(rows, 4, 2).splitlines() == [
        "- **On `mammals`.** 1.764 bits per base after reading 310 million bases; "
        "the best Markov model, of order 24, needs 1.810.",
        "- **On `pilot`.** 1.782 bits per base after reading 310 million bases.",
    ]
    assert tables.language_model_verdict(rows, 5, 2) == ""


def test_the_table_of_species_joins_both_profiles_and_shows_published_figures_apart(tmp_path):
    for row in (
        gc_row(profile="pilot", auroc=0.7341, auroc_low=0.722, auroc_high=0.745),
        gc_row(profile="mammals", species="Cow", auroc=0.6871),
        enhancer_row(profile="mammals", k=4, auroc=0.794),
        enhancer_row(profile="mammals", k=4, auroc=0.9, seed=1),
        enhancer_row(profile="mammals", k=4, auroc=0.91, trial="few"),
        enhancer_row(profile="mammals", k=5, auroc=0.92),
    ):
        save_result(tmp_path / "enhancers.csv", row)
    results, published = (
        read_results(tmp_path / "enhancers.csv"),
        read_published(ROOT / "results/published.csv"),
    )
    table = tables.species_table(results, published, "mammals").set_index("model")
    assert list(table.columns) == ["Human", "Mouse", "Dog", "Opossum", "Cow"]
    assert table.loc["Cohn et al. CNN (published, not rerun)"].tolist() == [
        "0.80",
        "0.78",
        "0.77",
        "0.72",
        "–",
    ]
    assert table.loc["GC content", "Human"] == "0.734 (0.722–0.745)"
    assert table.loc["GC content", "Cow"].startswith("0.687 ") and table.loc["GC content", "Mouse"] == "–"
    assert table.loc["ULMFiT, 4-mer stride 2", "Human"].startswith("0.794 ")
    assert table.iloc[-1].tolist() == ["6,948", "–", "–", "–", "6,948"]
    assert "published" not in str(tables.species_table(results, published, "simulated"))
