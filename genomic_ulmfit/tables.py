"""The tables that notebooks and READMEs show, as text, from the rows in results/.

Every number comes from results/enhancers.csv, results/language_models.csv or results/published.csv.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping

import pandas as pd
from scipy.stats import binomtest

from genomic_ulmfit.allowed import TRAINING_SET
from genomic_ulmfit.results import ENHANCER_KEY, select, with_shared_rows

__all__ = [
    "geco3_bits",
    "auc_table",
    "language_model_table",
    "language_model_verdict",
    "learning_curve_rows",
    "lever_pairs",
    "members_hash",
    "model_words",
    "on_another_species",
    "on_fewer_sequences",
    "one_of_each",
    "pretraining_seconds",
    "published_on",
    "setting_name",
    "setting_names",
    "short_names",
    "side_by_side",
    "species_table",
    "summary_rows",
    "summary_table",
    "threshold_table",
    "token_names",
    "whole_set_rows",
]

# Bits per base of GeCo3, a compressor that adapts while it reads, on the held-out locus of four species, with
# the training sequence of `pilot` as reference. Measured elsewhere, not by this project's code.
_GECO3_BITS = {"pilot": {"human": 1.667, "dog": 1.757, "mouse": 1.739, "opossum": 1.524}}
_SPECIES = ("Human", "Mouse", "Dog", "Opossum")
_MODELS = {
    "gc": "GC content",
    "composition": "base composition",
    "repeats": "share of repeats",
    "markov_chains": "Markov chain of each class",
    "kmer_logistic": "k-mer logistic regression",
    "multi_kmer_logistic": "logistic regression, 1- to 7-mers",
    "gapped_kmer_logistic": "logistic regression, 1- to 7-mers and gapped 6-mers",
    "motif_logistic": "logistic regression, known motifs",
    "motif_and_gapped_kmers": "logistic regression, gapped k-mers and known motifs",
    "kmer_boosting": "k-mer boosting",
    "cohn_cnn": "CNN of Cohn et al., retrained",
    "cohn_cnn_both_strands": "CNN of Cohn et al., retrained on both strands",
    "ulmfit_scratch": "ULMFiT from scratch",
    "ulmfit_no_pretraining": "ULMFiT without pretraining",
    "ulmfit_no_finetuning": "ULMFiT without fine-tuning",
    "ulmfit": "ULMFiT",
    "ulmfit_scratch_kmers": "ULMFiT from k-mer log-odds, from scratch",
    "ulmfit_no_pretraining_kmers": "ULMFiT from k-mer log-odds, without pretraining",
    "ulmfit_kmers": "ULMFiT from k-mer log-odds",
    "two_language_models_no_pretraining": "two language models without pretraining",
    "two_language_models": "two language models",
    "ensemble_ulmfit": "ensemble of ULMFiT from k-mer log-odds",
    "ensemble_ulmfit_all": "ensemble of these and plain ULMFiT",
    "ensemble": "ensemble of all these and baselines",
    "ensemble_stacked": "stacked ensemble of all these and baselines",
}
# What pictures call them, where that is shorter.
_SHORT = {
    "kmer_logistic": "k-mer regression",
    "multi_kmer_logistic": "1- to 7-mer regression",
    "gapped_kmer_logistic": "gapped k-mer regression",
    "motif_logistic": "motif regression",
    "motif_and_gapped_kmers": "regression of gapped k-mers and motifs",
    "cohn_cnn": "CNN of Cohn et al., one strand",
    "cohn_cnn_both_strands": "CNN of Cohn et al.",
    "ulmfit_scratch": "ULMFiT from random weights",
    "ensemble_ulmfit": "mean of ULMFiT from k-mers",
    "ensemble_ulmfit_all": "mean of all ULMFiT",
    "ensemble": "mean of all and baselines",
    "ensemble_stacked": "stacked ensemble",
}
# The models of `summary_rows`. Published: source and model in published.csv. Ours: what the row holds, and a
# remark.
_SUMMARY_PUBLISHED = (("Cohn et al.", "CNN"), ("Genomic-ULMFiT", "3-mer stride 1"), ("DNABERT-2", "frozen"))
_SUMMARY_OURS = (
    ({"model": "gc"}, ""),
    ({"model": "gapped_kmer_logistic"}, ""),
    ({"model": "motif_and_gapped_kmers"}, ""),
    ({"model": "ulmfit"}, ""),
    ({"model": "ulmfit_kmers", "k": 4, "stride": 2}, " (shipped)"),
    ({"model": "ensemble_stacked"}, ""),
)
# The models of `species_table`, likewise.
_SPECIES_PUBLISHED = (("Cohn et al.", "CNN"), ("Genomic-ULMFiT", "4-mer stride 2"))
_SPECIES_OURS: tuple[dict, ...] = (
    {"model": "gc"},
    {"model": "gapped_kmer_logistic"},
    {"model": "ulmfit", "k": 4},
)
_SUMMARY_NUMBERS = ("n_train", "n_test", "auroc", "auroc_low", "auroc_high", "accuracy")
_THRESHOLD_METRICS = ("accuracy", "precision", "recall", "specificity", "mcc")
_ABSENT = "–"


def _joined(values) -> str:
    """Distinct values in order of appearance."""
    return " / ".join(dict.fromkeys(value for value in values if value)) or _ABSENT


def _counts(values) -> str:
    return _joined(f"{int(value):,}" for value in values if value != "")


def _comparable(published: pd.DataFrame, profile: str) -> pd.DataFrame:
    """Published figures are of real DNA: none of them belongs beside simulated results."""
    return published[[profile != "simulated"] * len(published)]


def _published_rows(
    published: pd.DataFrame, metrics: tuple[str, ...], spread: str, by: tuple[str, ...] = ()
) -> list:
    """A row for each published model (and value of `by`), its `metrics` spread over column `spread`."""
    rows = []
    for _, group in published[published["metric"].isin(metrics)].groupby(
        [*by, "source", "model"], sort=False
    ):
        source, species, model = group.iloc[0][["source", "species", "model"]]
        rows.append(
            {
                "model": f"{source} {model} (published, not rerun)",
                "species": species,
                **dict(zip(group[spread], group["value"])),
                "n": _counts(group["n"]),
            }
        )
    return rows


def _headline_rows(results: pd.DataFrame, profile: str) -> pd.DataFrame:
    """Rows that score a whole set, baselines first: out-of-fold, or `test` where that is missing."""
    rows = results[(results["profile"] == profile) & results["fold"].isin(["oof", "test"])]
    rows = rows[~on_fewer_sequences(rows) & ~on_another_species(rows)]
    # `original` and `folds` are two ways to score the same sequences; each other split asks another question
    setting = [rows[column] for column in ENHANCER_KEY if column not in ("split", "fold")]
    pooled = rows["fold"] == "oof"
    has_pooled = pooled.groupby(
        [*setting, rows["split"].replace("folds", "original")], dropna=False
    ).transform("any")
    rows = rows[pooled | ~has_pooled.astype(bool)]
    order = list(_MODELS)

    def rank(model: str) -> float:
        if model in order:
            return order.index(model)
        return order.index("ensemble_ulmfit" if model.startswith("ulmfit") else "ulmfit_scratch") - 0.5

    rows = rows.assign(rank=[rank(model) for model in rows["model"]], setting=setting_names(rows))
    return rows.sort_values(["rank", *ENHANCER_KEY], na_position="first", kind="stable")


def on_fewer_sequences(rows: pd.DataFrame) -> pd.Series:
    """Rows whose trial is the number of their training sequences (n300, say)."""
    return rows["trial"] == "n" + rows["n_train"].astype(str)


def on_another_species(rows: pd.DataFrame) -> pd.Series:
    """Which rows are of models trained on another species, or on several: they ask what carries over.

    So do the rows of a training set that is no species (`splits.read_tables`), scored on its own folds.
    """
    return (rows["trained_on"] != "") | rows["species"].str.fullmatch(TRAINING_SET)


def pretraining_seconds(row: Mapping, language_models: pd.DataFrame) -> float:
    """Seconds of the language model that an enhancer row's classifier started from.

    0 without one, NaN where no row has its weights.

    A row that was recorded before encoders had hashes is matched by its setting.
    """
    if not row["encoder"]:
        return 0.0
    if row["encoder_hash"]:
        found = select(language_models, weights_hash=row["encoder_hash"])
    else:
        setting = {
            key: row[key] for key in ("k", "stride", "direction", "predicts", "contexts", "scale", "seed")
        }
        found = select(language_models, profile=row["encoder"], weights_hash=None, **setting)
    return float(found["seconds"].iloc[0]) if len(found) else math.nan


def model_words(model: str) -> str:
    """The words for a model's name in a result row: "GC content" for "gc"."""
    return _MODELS.get(model, model.replace("_", " "))


def setting_name(row: Mapping) -> str:
    """What made an enhancer row, in words: the model, and what of its setting is not the notebooks' default.

    Two rows share a name if only the weights of their encoders differ, or the members of their ensembles; see
    `setting_names`.
    """
    words = [
        model_words(row["model"]),
        "" if pd.isna(row["k"]) else f"{row['k']}-mer",
        "" if pd.isna(row["stride"]) else f"stride {row['stride']}",
    ]
    parts = [
        " ".join(filter(None, words)),
        row["trial"].replace("_", " "),
        row["trained_on"] and f"trained on {row['trained_on']}",
        row["direction"].replace("forward", ""),
        row["predicts"] == "kmer" and "predicts k-mers",
        row["contexts"] and f"contexts {row['contexts']}",
        row["scale"] not in ("", "laptop") and f"{row['scale']} scale",
        row["settings"] and not row["model"].startswith("ensemble") and f"settings {row['settings']}",
        row["encoder"] not in ("", row["profile"]) and f"encoder of {row['encoder']}",
    ]
    return ", ".join(filter(None, parts))


def setting_names(rows: pd.DataFrame) -> pd.Series:
    """`setting_name` of each row, with hashes where one name would stand for different models.

    Those are encoders of other weights, or ensembles of other members.
    """
    return _told_apart(
        rows, [setting_name(row) for row in rows.to_dict("records")], ("settings", "encoder_hash")
    )


def short_names(rows: pd.DataFrame) -> pd.Series:
    """The shortest name for each row that is unique in its species and trial: model and tokens, then what
    else differs.
    """
    names = []
    for row in rows.to_dict("records"):
        name = _SHORT.get(row["model"], _MODELS.get(row["model"], row["model"].replace("_", " ")))
        if row["scale"]:
            name += f", {row['k']}-mer stride {row['stride']}"
        elif not pd.isna(row["k"]):
            name = name.replace("k-mer", f"{row['k']}-mer", 1)
        names.append(name)
    columns = (
        "trained_on",
        "direction",
        "predicts",
        "contexts",
        "scale",
        "settings",
        "encoder",
        "encoder_hash",
    )
    return _told_apart(rows, names, columns, within=[rows["species"], rows["trial"]])


def whole_set_rows(results: pd.DataFrame) -> pd.DataFrame:
    """The rows that score all sequences of a species in the usual splits, with a column `name`
    (`short_names`).

    Out-of-fold rows where a species has any, else those of the one test set. Trials, rows of fewer training
    sequences and models of another species are left out: they ask other questions.
    """
    rows = results[results["split"].isin(["original", "folds"]) & results["fold"].isin(["oof", "test"])]
    rows = rows[(rows["trial"] == "") & ~on_another_species(rows)]
    pooled = rows["fold"] == "oof"
    rows = rows[pooled | ~rows["species"].isin(rows["species"][pooled])]
    return rows.assign(name=short_names(rows))


def side_by_side(rows: list[dict], index: str = "model"):
    """Cells of text as a styled table: a row for each value of `index` in order of appearance, the columns of
    each species side by side.

    `rows` hold `species`, `index` and the cells. With one species its name is left out of the header. Cells
    that are missing are dashes. Without rows: a line that says so.
    """
    if not rows:
        return "no such results in this profile yet"
    table = pd.DataFrame(rows)
    cells = [column for column in table if column not in ("species", index)]
    species = list(table["species"].unique())
    wide = table.pivot(index=index, columns="species", values=cells).swaplevel(axis=1)
    wide = wide.loc[table[index].unique(), [(name, cell) for name in species for cell in cells]].fillna(
        _ABSENT
    )
    if len(species) == 1:
        wide.columns = wide.columns.get_level_values(1)
    else:
        wide.columns.names = [None, None]
    first = wide.reset_index().columns[0]
    return (
        wide.reset_index().style.hide(axis="index").set_properties(subset=[first], **{"text-align": "left"})
    )


def published_on(published: pd.DataFrame, n: int) -> pd.DataFrame:
    """Published human figures on a test set of `n` sequences: columns model, accuracy, AUC (numbers), labels,
    parameters (text).

    The last two are what the note of a figure says. Best accuracy first, then those with an AUC alone.
    """
    rows = published[(published["species"] == "Human") & (published["n"] == str(n))]
    found = []
    for (source, model), group in rows.groupby(["source", "model"], sort=False):
        values = dict(zip(group["metric"], group["value"].astype(float)))
        note = group["note"].iloc[0]
        labels = re.search(r"([\d,]+) training", note)
        parameters = re.search(r"([\d.]+ (?:k|M|billion)) parameters", note)
        found.append(
            {
                "model": f"{source}, {model}",
                "accuracy": values.get("accuracy", math.nan),
                "AUC": values.get("auroc", math.nan),
                "labels": labels[1] if labels else _ABSENT,
                "parameters": parameters[1] if parameters else _ABSENT,
            }
        )
    columns = ["model", "accuracy", "AUC", "labels", "parameters"]
    table = pd.DataFrame(found, columns=columns)
    return table.sort_values(["accuracy", "AUC"], ascending=False, kind="stable", ignore_index=True)


def token_names(rows: pd.DataFrame) -> pd.Series:
    """The tokens of each row ("4-mer stride 2"), blank without a network.

    Where networks of one trial differ otherwise too, it says in what.
    """
    networks = rows[rows["scale"] != ""]
    names = [f"{row.k}-mer stride {row.stride}" for row in networks.itertuples()]
    told_apart = _told_apart(
        networks,
        names,
        ("direction", "predicts", "contexts", "scale", "settings"),
        within=[networks["trial"]],
    )
    return told_apart.reindex(rows.index, fill_value="")


def _told_apart(
    rows: pd.DataFrame, names, columns: tuple[str, ...], within: list[pd.Series] | None = None
) -> pd.Series:
    """`names`, with values of `columns` added where rows of one name differ in them.

    Rows of one name are compared within equal values of the columns `within`.
    """
    names = pd.Series(list(names), rows.index, dtype=str)
    for column in columns:
        several = rows.groupby([names, *(within or [])])[column].transform("nunique").gt(1)
        blank = (
            "not recorded"
            if column == "encoder_hash"
            else "of the notebook"
            if column == "settings"
            else "none"
        )
        words = [f", {column.replace('_', ' ')} {value or blank}" for value in rows[column]]
        names = names.where(~several, names + pd.Series(words, rows.index, dtype=str))
    return names


def one_of_each(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Rows of one setting for each group of equal values in the columns `by`, all its folds.

    The others are named in a printed line. Of several settings the notebooks' own is preferred, then one
    whose encoder is this profile's and has a hash.
    """
    identity = [column for column in ENHANCER_KEY if column not in ("fold", "split")]
    ranked = rows.assign(
        **{
            "_changed": (rows["settings"] != "").astype(int)
            + (rows["trial"] != "")
            + (rows["direction"] == "backward")
            + (rows["predicts"] == "kmer"),
            "_foreign": ~rows["encoder"].isin(["", *rows["profile"].unique()]),
            "_unknown": (rows["encoder"] != "") & (rows["encoder_hash"] == ""),
        }
    )
    kept = []
    for _, group in ranked.groupby(by, sort=False, dropna=False):
        candidates = group.sort_values(
            ["_changed", "_foreign", "_unknown", *identity], kind="stable"
        ).drop_duplicates(identity)
        first = candidates.iloc[0]
        kept += group.index[(group[identity].fillna(-1) == first[identity].fillna(-1)).all(axis=1)].tolist()
        if len(candidates) > 1:
            names = _told_apart(
                candidates,
                [setting_name(row) for row in candidates.to_dict("records")],
                ("encoder_hash", "scale", "seed"),
            )
            print(
                f"{first['species']}: {len(candidates)} candidates, {'; '.join(names)}. Taken: "
                f"{names.iloc[0]}"
            )
    return rows.loc[sorted(kept, key=rows.index.get_loc)]


def lever_pairs(rows: pd.DataFrame, with_it: str, without: str) -> list[tuple[int, int]]:
    """Index labels of the pairs of rows that differ in one choice only: (with it, without it).

    `with_it` and `without` name a model, or a model and its trial ("ulmfit one_strand"). Both rows are of one
    species and split and of networks of one kind: k, stride, direction, predicts, contexts, scale and seed.
    Of one trial they have the same settings and, where both have one, the same encoder: a named trial may
    have others. A model without a network stands beside every setting.
    """
    (model, _, trial), (other, _, other_trial) = (name.partition(" ") for name in (with_it, without))
    shared = ["species", "split", "fold", "seed", "k", "stride", "direction", "predicts", "contexts", "scale"]
    pairs = []
    for a, row in rows[(rows["model"] == model) & (rows["trial"] == trial)].iterrows():
        beside = rows[(rows["model"] == other) & (rows["trial"] == other_trial)]
        alike = beside[shared].fillna(-1).eq(row[shared].fillna(-1)).all(axis=1)
        if trial == other_trial:
            alike &= beside["settings"] == row["settings"]
            alike &= (
                (beside["encoder_hash"] == row["encoder_hash"])
                | (beside["encoder"] == "")
                | (row["encoder"] == "")
            )
        bare = (beside["scale"] == "") & (beside[shared[:4]] == row[shared[:4]]).all(axis=1)
        pairs += [(a, b) for b in beside.index[alike | bare]]
    return pairs


def learning_curve_rows(results: pd.DataFrame) -> pd.DataFrame:
    """Rows of single folds of models that were also trained on fewer sequences.

    The columns `setting` (the name they share) and `n` are added.

    `n` is the number of training sequences in tens. Of several settings `one_of_each` takes one. Other trials
    are left out.
    """
    rows = results[
        (results["fold"] != "oof")
        & (results["trained_on"] == "")
        & ((results["trial"] == "") | on_fewer_sequences(results))
    ]
    bare = rows.assign(trial="", settings="").to_dict("records")
    rows = rows.assign(setting=[setting_name(row) for row in bare], n=rows["n_train"].round(-1))
    rows = rows[rows.groupby(["species", "setting"])["trial"].transform("nunique") > 1]
    return one_of_each(rows, ["species", "setting", "split", "trial"])


def members_hash(members: pd.DataFrame) -> str:
    """8 hex digits that stand for an ensemble's models, for every species: its row's `settings`."""
    identities = [
        [str(row[column]) for column in ENHANCER_KEY if column not in ("species", "fold")]
        for row in members.to_dict("records")
    ]
    return hashlib.sha256(json.dumps(sorted(identities)).encode()).hexdigest()[:8]


def _described(rows: pd.DataFrame) -> dict[str, str]:
    """The cells that say which setting made `rows`, which differ in species alone."""
    first = rows.iloc[0]
    return {
        "model": first["setting"],
        "n": _counts(rows["n_test"]),
        "scale": first["scale"] or _ABSENT,
        "split": f"{first['split']} ({first['fold']})",
        "seed": str(first["seed"]),
        "commit": _joined(rows["version"]),
    }


def _species_order(*columns: pd.Series) -> list[str]:
    return [*_SPECIES, *sorted({s for column in columns for s in column if s} - set(_SPECIES))]


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.3f} ({low:.3f}–{high:.3f})"


def _text_frame(rows: list[dict[str, str]], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns, dtype=object).fillna(_ABSENT)


def summary_rows(results: pd.DataFrame, published: pd.DataFrame, profile: str) -> pd.DataFrame:
    """Nine models that show on one screen whether ULMFiT works, on human enhancers: published ones first.

    Columns: model (blank: published), name, n_train, n_test, auroc, auroc_low, auroc_high, accuracy, and
    `auc`, the AUC as text. What is not known is NaN: published figures come without interval. Of plain ULMFiT
    the setting with the highest AUC is taken. A model that has no row in `profile`, nor one that it shares
    (`results.with_shared_rows`), is left out.
    """
    ours = select(with_shared_rows(results, profile), species="Human", seed=0)
    ours = whole_set_rows(ours).sort_values("auroc", ascending=False, kind="stable")
    rows = [_published_summary(_comparable(published, profile), *which) for which in _SUMMARY_PUBLISHED]
    for which, remark in _SUMMARY_OURS:
        for row in select(ours, **which).head(1).to_dict("records"):
            auc = _interval(row["auroc"], row["auroc_low"], row["auroc_high"])
            rows.append({**row, "name": row["name"] + remark, "auc": auc})
    columns = ["model", "name", *_SUMMARY_NUMBERS, "auc"]
    return pd.DataFrame([row for row in rows if row], columns=columns)


def _published_summary(published: pd.DataFrame, source: str, model: str) -> dict:
    """A published model's figures for human enhancers; {} where there are none."""
    rows = select(published, source=source, model=model, species="Human", metric=["auroc", "accuracy"])
    if not len(rows):
        return {}
    trained = re.search(r"([\d,]+) training sequences", rows["note"].iloc[0])
    return {
        "model": "",
        "name": f"{source} {model} (published, not rerun)",
        "n_train": float(trained[1].replace(",", "")) if trained else math.nan,
        "n_test": float(rows["n"].iloc[0] or "nan"),
        "auc": select(rows, metric="auroc")["value"].item(),
        **dict(zip(rows["metric"], rows["value"].astype(float))),
    }


def summary_table(results: pd.DataFrame, published: pd.DataFrame, profile: str) -> pd.DataFrame:
    """`summary_rows` as text."""
    rows = summary_rows(results, published, profile)

    def text(column: str, form: str) -> list[str]:
        return [_ABSENT if pd.isna(value) else format(value, form) for value in rows[column]]

    table = {
        "model": rows["name"],
        "labels": text("n_train", ",.0f"),
        "scored on": text("n_test", ",.0f"),
        "ROC-AUC": rows["auc"],
        "accuracy": text("accuracy", ".3f"),
    }
    return pd.DataFrame(table, dtype=object)


def species_table(results: pd.DataFrame, published: pd.DataFrame, profile: str) -> pd.DataFrame:
    """ROC-AUC by species of a few models, as text: published ones first, then those of `profile`.

    The last row has the number of sequences that ours scored. Human rows that only its sister profile has are
    taken from there (`results.with_shared_rows`).
    """
    ours = whole_set_rows(select(with_shared_rows(results, profile), seed=0))
    ours = ours.sort_values(["settings", "encoder_hash"], kind="stable")
    table = []
    for source, model in _SPECIES_PUBLISHED:
        known = select(_comparable(published, profile), source=source, model=model)
        table += _published_rows(known, ("auroc",), "species")
    for which in _SPECIES_OURS:
        rows = select(ours, **which).drop_duplicates("species")
        values = map(_interval, rows["auroc"], rows["auroc_low"], rows["auroc_high"])
        table.append({"model": "".join(short_names(rows)[:1]), **dict(zip(rows["species"], values))})
    scored = ours.drop_duplicates("species")
    n = scored["n_test"].map("{:,}".format)
    table.append({"model": "sequences scored, ours", **dict(zip(scored["species"], n))})
    species = [name for name in _species_order(ours["species"]) if any(name in row for row in table)]
    return _text_frame([row for row in table if len(row) > 1], ["model", *species])


def auc_table(results: pd.DataFrame, published: pd.DataFrame, profile: str) -> pd.DataFrame:
    """ROC-AUC by species as text, published models first, then ours; rows of single folds are left out."""
    rows, published = _headline_rows(results, profile), _comparable(published, profile)
    species = _species_order(rows["species"], published.loc[published["metric"] == "auroc", "species"])
    table = _published_rows(published, ("auroc",), "species")
    setting = ["rank", *(column for column in ENHANCER_KEY if column != "species")]
    for _, group in rows.groupby(setting, sort=False, dropna=False):
        group = group.sort_values("species", key=lambda names: names.map(species.index))
        values = map(_interval, group["auroc"], group["auroc_low"], group["auroc_high"])
        minutes = f"{group['seconds'].sum() / 60:,.1f}"
        table.append({**_described(group), **dict(zip(group["species"], values)), "minutes": minutes})
    return _text_frame(table, ["model", *species, "n", "minutes", "scale", "split", "seed", "commit"])


def threshold_table(results: pd.DataFrame, published: pd.DataFrame, profile: str) -> pd.DataFrame:
    """Metrics at probability 0.5 as text, by species, published models first.

    Accuracy has its Wilson interval.
    """

    def ours(rows: pd.DataFrame) -> dict[str, str]:
        row = rows.iloc[0]
        values = {metric: f"{row[metric]:.3f}" for metric in _THRESHOLD_METRICS if not pd.isna(row[metric])}
        if "accuracy" in values:
            bounds = binomtest(round(row["accuracy"] * row["n_test"]), row["n_test"]).proportion_ci(
                method="wilson"
            )
            values["accuracy"] = _interval(row["accuracy"], bounds.low, bounds.high)
        return {**_described(rows), **values, "species": row["species"]}

    rows, published = _headline_rows(results, profile), _comparable(published, profile)
    table = _published_rows(published, _THRESHOLD_METRICS, "metric", by=("species",))
    table += [ours(rows.iloc[[i]]) for i in range(len(rows))]
    columns = ["species", "model", *_THRESHOLD_METRICS, "n", "scale", "split", "seed", "commit"]
    frame = _text_frame(table, columns).rename(columns={"mcc": "MCC"})
    order = _species_order(frame["species"])
    return frame.sort_values(
        "species", key=lambda names: names.map(order.index), kind="stable", ignore_index=True
    )


def language_model_table(results: pd.DataFrame, published: pd.DataFrame, profile: str) -> pd.DataFrame:
    """Language models as text: published, then Markov references, then ours.

    Compare them by bits per base.
    """
    forms = {
        "k": "",
        "stride": "",
        "direction": "",
        "predicts": "",
        "contexts": "",
        "scale": "",
        "settings": "",
        "corpus_hash": "",
        "seed": "",
        "bases_seen": ",",
        "n_valid_tokens": ",",
        "valid_loss": ".4f",
        "accuracy": ".3f",
        "perplexity": ".2f",
        "bits_per_base": ".3f",
        "seconds": ",.0f",
        "version": "",
    }
    rows, published = results[results["profile"] == profile], _comparable(published, profile)
    table = _published_rows(published, ("valid_loss", "bits_per_base"), "metric")
    for row in sorted(rows.to_dict("records"), key=lambda row: row["predicts"] != "markov"):
        texts = {c: format(row[c], form) for c, form in forms.items() if not pd.isna(row[c]) and row[c] != ""}
        table.append({"model": "Markov model" if row["predicts"] == "markov" else "AWD-LSTM", **texts})
    names = {"valid_loss": "loss", "version": "commit"}
    used = [
        column for column in forms if column not in ("settings", "corpus_hash") or (rows[column] != "").any()
    ]
    frame = _text_frame(table, ["model", *used])
    return frame.rename(columns=lambda column: names.get(column, column.replace("_", " ")))


def geco3_bits(profile: str) -> dict[str, float]:
    """Bits per base of the compressor GeCo3 on held-out loci, by species; {} where it was not measured.

    It read the training sequence first and adapts while it reads: a reference, not a model of the same kind.
    Measured elsewhere (Silva et al. 2020, GigaScience 9:giaa119, for the program).
    """
    return _GECO3_BITS.get(profile, {})


def language_model_verdict(results: pd.DataFrame, k: int, stride: int) -> str:
    """The best language model of `k` and `stride` on real DNA, as Markdown with a line a profile.

    Beside it stands the best Markov model of the same corpus, where there is one.
    """
    lines = []
    models = select(results, k=k, stride=stride, predicts="bases").sort_values("bits_per_base")
    for profile, rows in models[models["profile"] != "simulated"].groupby("profile"):
        best = rows.iloc[0]
        markov = select(results, profile=profile, predicts="markov", corpus_hash=best["corpus_hash"])
        line = (
            f"**On `{profile}`.** {best['bits_per_base']:.3f} bits per base after reading "
            f"{best['bases_seen'] / 1e6:,.0f} million bases"
        )
        if len(markov):
            row = markov.loc[markov["bits_per_base"].idxmin()]
            line += f"; the best Markov model, of order {row['contexts']}, needs {row['bits_per_base']:.3f}"
        lines.append(f"- {line}.")
    return "\n".join(lines)
