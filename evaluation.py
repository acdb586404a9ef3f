"""Metrics with intervals, result rows on disk, and the tables that notebooks and READMEs show.

    python evaluation.py tables            rewrite the tables between the markers in the READMEs
    python evaluation.py tables --check    exit 1 and name the files whose tables are out of step with results/
    python evaluation.py show PROFILE      print the tables of one profile

Every number in a table comes from results/enhancers.csv, results/language_models.csv or results/published.csv.
"""

import argparse
import math
import operator
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest, norm, rankdata
from sklearn.metrics import (accuracy_score, average_precision_score, brier_score_loss, matthews_corrcoef,
                             precision_score, recall_score)

from records import (ENHANCER_COLUMNS, ENHANCER_KEY, LANGUAGE_MODEL_COLUMNS, PUBLISHED_COLUMNS, code_version,
                     predictions_path, read_predictions, read_published, read_results, record, replacing, write_predictions)

__all__ = ["ENHANCER_COLUMNS", "LANGUAGE_MODEL_COLUMNS", "PUBLISHED_COLUMNS", "auc_table", "bits_per_base",
           "classification_metrics", "code_version", "compare", "comparison_table", "delong_interval", "headline_table",
           "language_model_table", "on_another_species", "on_fewer_sequences", "paired_auc_difference", "read_predictions", "read_published",
           "read_results", "record", "record_run", "setting_name", "threshold_table", "update_tables", "write_predictions"]

_PROFILES = ("simulated", "pilot", "full")
_SPECIES = ("Human", "Mouse", "Dog", "Opossum")
_MODELS = {"gc": "GC content", "composition": "base composition", "kmer_logistic": "k-mer logistic regression",
           "multi_kmer_logistic": "logistic regression, 1- to 7-mers",
           "gapped_kmer_logistic": "logistic regression, 1- to 7-mers and gapped 6-mers", "kmer_boosting": "k-mer boosting",
           "cohn_cnn": "CNN of Cohn et al., retrained",
           "cohn_cnn_both_strands": "CNN of Cohn et al., retrained on both strands", "ulmfit_scratch": "ULMFiT from scratch",
           "ulmfit_no_pretraining": "ULMFiT without pretraining", "ulmfit_no_finetuning": "ULMFiT without fine-tuning",
           "ulmfit": "ULMFiT", "ulmfit_kmers": "ULMFiT from k-mer log-odds",
           "ensemble_ulmfit": "ensemble of ULMFiT from k-mer log-odds", "ensemble_ulmfit_all": "ensemble of these and plain ULMFiT",
           "ensemble": "ensemble of all these and baselines"}
_THRESHOLD_METRICS = ("accuracy", "precision", "recall", "specificity", "mcc")
_ABSENT = "–"
_READMES = ("README.md", "Genomic Language Models/README.md", "Enhancer Classification/README.md")


# ---- metrics ----

def _check_scores(labels, *scores) -> tuple[np.ndarray, ...]:
    """`labels` as bool (n,) and each of `scores` as float64 (n,), or ValueError saying what is wrong with them."""
    labels, *scores = np.asarray(labels), *(np.asarray(s, dtype=np.float64) for s in scores)
    shapes = [labels.shape, *(s.shape for s in scores)]
    if labels.ndim != 1 or len(set(shapes)) > 1:
        raise ValueError(f"labels and scores must be 1-D and of one length, not of shapes {shapes}")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 (negative) or 1 (positive)")
    if any(np.isnan(s).any() for s in scores):
        raise ValueError("scores contain NaN: did training diverge?")
    positive = labels.astype(bool)
    if min(positive.sum(), (~positive).sum()) < 2:
        raise ValueError(f"at least two sequences of each class are needed, not {positive.sum()} positive and "
                         f"{(~positive).sum()} negative")
    return positive, *scores


def _placements(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of negatives below each positive (m,) and of positives above each negative (n,), ties counted half.

    Their means are the AUC and their spreads its variance. Midranks give them in O(n log n): the rank among all
    minus the rank within the class counts the other class. Sun & Xu 2014, IEEE Signal Processing Letters 21:1389.
    """
    ranks, m, n = rankdata(scores), positive.sum(), (~positive).sum()
    above = (ranks[positive] - rankdata(scores[positive])) / n
    below = (ranks[~positive] - rankdata(scores[~positive])) / m
    return above, 1 - below


def _variance(above: np.ndarray, below: np.ndarray) -> float:
    """Variance of an AUC, or of a difference, from its placements: DeLong et al. 1988, Biometrics 44:837."""
    return above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)


def delong_interval(labels, scores, level: float = 0.95) -> tuple[float, float, float]:
    """ROC-AUC and its DeLong interval, `(auc, low, high)`; made on the logit scale, the interval stays in [0, 1].

    `labels` (n,) of 0 and 1, `scores` (n,) of any monotone scale. At AUC 1 the DeLong variance is 0; the bound is then
    low = (alpha / 2) ** (1 / min(m, n)): m positives and n negatives form min(m, n) disjoint, hence independent pairs,
    and each is ordered rightly with probability AUC. AUC 0 mirrors it. Scores that are all equal give (0.5, 0.5, 0.5).
    ValueError on other labels, NaN, lengths that differ, or fewer than two sequences of a class.
    """
    positive, scores = _check_scores(labels, scores)
    above, below = _placements(positive, scores)
    auc, tail = float(above.mean()), (1 - level) / 2
    if auc in (0.0, 1.0):
        bound = tail ** (1 / min(len(above), len(below)))
        return (auc, bound, 1.0) if auc else (auc, 0.0, 1 - bound)
    odds = auc / (1 - auc)
    width = norm.isf(tail) * math.sqrt(_variance(above, below)) / (auc * (1 - auc))
    return auc, 1 / (1 + math.exp(width) / odds), 1 / (1 + math.exp(-width) / odds)


def paired_auc_difference(labels, scores_a, scores_b, level: float = 0.95) -> dict[str, float]:
    """AUC of `scores_a` minus AUC of `scores_b` on the same sequences: `difference, low, high, p_value` (two-sided).

    DeLong's paired test; normal interval clipped to [-1, 1]. Scores that rank alike give difference 0 and p 1; another
    difference without spread (one score perfect, the other constant, say) has no estimable error: interval and p NaN.
    """
    positive, scores_a, scores_b = _check_scores(labels, scores_a, scores_b)
    (above_a, below_a), (above_b, below_b) = _placements(positive, scores_a), _placements(positive, scores_b)
    difference = float(above_a.mean() - above_b.mean())
    error = math.sqrt(_variance(above_a - above_b, below_a - below_b))
    if error < 1e-12:  # no spread, but for rounding
        low, high, p_value = (0.0, 0.0, 1.0) if abs(difference) < 1e-12 else (math.nan,) * 3
        return {"difference": difference, "low": low, "high": high, "p_value": p_value}
    width = float(norm.isf((1 - level) / 2)) * error
    return {"difference": difference, "low": max(-1.0, difference - width), "high": min(1.0, difference + width),
            "p_value": float(2 * norm.sf(abs(difference) / error))}


def classification_metrics(labels, probabilities, threshold: float = 0.5) -> dict[str, float]:
    """The metric columns of a result row, and `n_test`; a sequence counts as enhancer at probability >= `threshold`.

    `labels` (n,) of 0 and 1, `probabilities` (n,) of the enhancer class. Precision is 0 where nothing is called an
    enhancer. ValueError as in `delong_interval`, and for probabilities outside [0, 1].
    """
    positive, probabilities = _check_scores(labels, probabilities)
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise ValueError(f"probabilities must lie in [0, 1], not {probabilities.min():g} to {probabilities.max():g}")
    auc, low, high = delong_interval(positive, probabilities)
    called = probabilities >= threshold
    return {"auroc": auc, "auroc_low": low, "auroc_high": high,
            "average_precision": float(average_precision_score(positive, probabilities)),
            "accuracy": float(accuracy_score(positive, called)),
            "precision": float(precision_score(positive, called, zero_division=0)),
            "recall": float(recall_score(positive, called)),
            "specificity": float(recall_score(~positive, ~called)),
            "mcc": float(matthews_corrcoef(positive, called)),
            "brier": float(brier_score_loss(positive, probabilities)), "n_test": len(positive)}


def compare(predictions: pd.DataFrame, reference: pd.DataFrame) -> dict[str, float]:
    """`paired_auc_difference` of two tables of predictions over the sequences that both have, and their number `n`."""
    both = predictions.merge(reference[["id", "probability"]], on="id", suffixes=("", "_reference"))
    return {"n": len(both), **paired_auc_difference(both["label"], both["probability"], both["probability_reference"])}


def comparison_table(rows: list[dict], minuend: str, subtrahend: str):
    """Rows with the columns of `compare` and any others as a styled table."""
    names = {"difference": f"{minuend} minus {subtrahend}", "low": "95 % low", "high": "95 % high", "p_value": "p"}
    forms = {"p": "{:.1e}", **dict.fromkeys(list(names.values())[:3], "{:+.4f}"), "n": "{:,}"}
    return pd.DataFrame(rows).rename(columns=names).style.format(forms, precision=3, na_rep=_ABSENT).set_properties(
        subset=["p"], **{"white-space": "nowrap"}).hide(axis="index")


def record_run(root: str | Path, identity: Mapping, predictions: pd.DataFrame, effort: pd.DataFrame) -> pd.DataFrame:
    """Write the rows of a run, one for each fold and, where there are several, `oof` over all; and its predictions.

    `identity`: the key columns but `fold` (those left out are blank), `device`, `version`, `command`. `predictions`:
    `PREDICTION_COLUMNS`. `effort`: `n_train` and `seconds` by fold (its index). Returns the rows. Rows and predictions are
    written together at the end, so that an interrupted run leaves none of its own among those of an older one.
    """
    blank = dict.fromkeys(ENHANCER_KEY)
    parts = {fold: (predictions[predictions["fold"].astype(str) == str(fold)], row.n_train, row.seconds)
             for fold, row in zip(effort.index, effort.itertuples())}
    if len(parts) > 1:
        parts["oof"] = predictions, effort["n_train"].min(), effort["seconds"].sum()
    rows = [{**blank, **identity, "fold": fold, "n_train": int(n_train), "seconds": float(seconds),
             **classification_metrics(part["label"], part["probability"])} for fold, (part, n_train, seconds) in parts.items()]
    write_predictions(predictions_path(root, rows[0]), predictions)
    for row in rows:
        record(Path(root) / "results/enhancers.csv", row)
    return pd.DataFrame(rows)


def bits_per_base(loss_nats: float, stride: int) -> float:
    """Cross-entropy in nats per token as bits per base: each token adds `stride` bases (stride <= k)."""
    if operator.index(stride) < 1 or not loss_nats >= 0:
        raise ValueError(f"loss must be >= 0 and stride >= 1, not {loss_nats!r} and {stride!r}")
    return float(loss_nats) / (stride * math.log(2))


# ---- tables ----

def _joined(values) -> str:
    """Distinct values in order of appearance."""
    return " / ".join(dict.fromkeys(value for value in values if value)) or _ABSENT


def _counts(values) -> str:
    return _joined(f"{int(value):,}" for value in values if value != "")


def _comparable(published: pd.DataFrame, profile: str) -> pd.DataFrame:
    """Published figures are of real DNA: none of them belongs beside simulated results."""
    return published[[profile != "simulated"] * len(published)]


def _published_rows(published: pd.DataFrame, metrics: tuple[str, ...], spread: str, by: tuple[str, ...] = ()) -> list:
    """A row for each published model (and value of `by`), in file order, its `metrics` spread over column `spread`."""
    rows = []
    for _, group in published[published["metric"].isin(metrics)].groupby([*by, "source", "model"], sort=False):
        source, species, model = group.iloc[0][["source", "species", "model"]]
        rows.append({"model": f"{source} {model} (published, not rerun)", "species": species,
                     **dict(zip(group[spread], group["value"])), "n": _counts(group["n"])})
    return rows


def _headline_rows(results: pd.DataFrame, profile: str) -> pd.DataFrame:
    """Rows that score a whole set, baselines first: pooled out-of-fold, or `test` where a setting has no such row."""
    rows = results[(results["profile"] == profile) & results["fold"].isin(["oof", "test"])]
    rows = rows[~on_fewer_sequences(rows) & ~on_another_species(rows)]
    # `original` and `folds` are two ways to score the same sequences; each other split asks another question
    setting = [rows[column] for column in ENHANCER_KEY if column not in ("split", "fold")]
    pooled = rows["fold"] == "oof"
    has_pooled = pooled.groupby([*setting, rows["split"].replace("folds", "original")], dropna=False).transform("any")
    rows = rows[pooled | ~has_pooled.astype(bool)]
    order = list(_MODELS)

    def rank(model: str) -> float:
        if model in order:
            return order.index(model)
        return order.index("ensemble_ulmfit" if model.startswith("ulmfit") else "ulmfit_scratch") - 0.5

    return rows.assign(rank=[rank(model) for model in rows["model"]]).sort_values(["rank", *ENHANCER_KEY], na_position="first", kind="stable")


def on_fewer_sequences(rows: pd.DataFrame) -> pd.Series:
    """Which rows bear the number of their training sequences as label (n300, say): they ask how many it takes."""
    return rows["label"] == "n" + rows["n_train"].astype(str)


def on_another_species(rows: pd.DataFrame) -> pd.Series:
    """Which rows are of models of another species, or of all (label from_mouse, from_all): they ask what carries over."""
    return rows["label"].str.startswith("from_")


def setting_name(row: Mapping) -> str:
    """What made an enhancer row, in words: the model, and what of its setting is not the notebooks' default."""
    words = [_MODELS.get(row["model"], row["model"].replace("_", " ")),
             "" if pd.isna(row["k"]) else f"{row['k']}-mer", "" if pd.isna(row["stride"]) else f"stride {row['stride']}"]
    parts = [" ".join(filter(None, words)), row["label"].replace("_", " "), row["direction"].replace("forward", ""),
             row["output"] == "kmer" and "output kmer", row["contexts"] and f"contexts {row['contexts']}",
             row["scale"] == "paper" and "paper scale", row["encoder"] not in ("", row["profile"]) and f"encoder of {row['encoder']}"]
    return ", ".join(filter(None, parts))


def _described(rows: pd.DataFrame) -> dict[str, str]:
    """The cells that say which setting made `rows`, which differ in species alone."""
    first = rows.iloc[0]
    return {"model": setting_name(first), "n": _counts(rows["n_test"]), "scale": first["scale"] or _ABSENT,
            "split": f"{first['split']} ({first['fold']})", "seed": str(first["seed"]),
            "commit": _joined(rows["version"])}


def _species_order(*columns: pd.Series) -> list[str]:
    return [*_SPECIES, *sorted({s for column in columns for s in column if s} - set(_SPECIES))]


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.3f} ({low:.3f}–{high:.3f})"


def _text_frame(rows: list[dict[str, str]], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns, dtype=object).fillna(_ABSENT)


def headline_table(results: pd.DataFrame, published: pd.DataFrame, profile: str) -> pd.DataFrame:
    """`auc_table` without trials, without ULMFiT taken apart and without the splits that ask other questions."""
    apart = results["model"].str.startswith("ulmfit_") & (results["model"] != "ulmfit_kmers") | (results["label"] != "")
    return auc_table(results[~apart & results["split"].isin(["original", "folds"])], published, profile)


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
    """Metrics at probability 0.5 as text, by species, published models first; accuracy has its Wilson interval."""
    def ours(rows: pd.DataFrame) -> dict[str, str]:
        row = rows.iloc[0]
        values = {metric: f"{row[metric]:.3f}" for metric in _THRESHOLD_METRICS if not pd.isna(row[metric])}
        if "accuracy" in values:
            bounds = binomtest(round(row["accuracy"] * row["n_test"]), row["n_test"]).proportion_ci(method="wilson")
            values["accuracy"] = _interval(row["accuracy"], bounds.low, bounds.high)
        return {**_described(rows), **values, "species": row["species"]}

    rows, published = _headline_rows(results, profile), _comparable(published, profile)
    table = _published_rows(published, _THRESHOLD_METRICS, "metric", by=("species",))
    table += [ours(rows.iloc[[i]]) for i in range(len(rows))]
    columns = ["species", "model", *_THRESHOLD_METRICS, "n", "scale", "split", "seed", "commit"]
    frame = _text_frame(table, columns).rename(columns={"mcc": "MCC"})
    order = _species_order(frame["species"])
    return frame.sort_values("species", key=lambda names: names.map(order.index), kind="stable", ignore_index=True)


def language_model_table(results: pd.DataFrame, published: pd.DataFrame, profile: str) -> pd.DataFrame:
    """Language models as text: published, then Markov references, then ours; compare them by bits per base."""
    forms = {"k": "", "stride": "", "direction": "", "output": "", "contexts": "", "scale": "", "seed": "",
             "bases_seen": ",", "n_valid_tokens": ",", "valid_loss": ".4f", "accuracy": ".3f", "perplexity": ".2f",
             "bits_per_base": ".3f", "seconds": ",.0f", "version": ""}
    rows, published = results[results["profile"] == profile], _comparable(published, profile)
    table = _published_rows(published, ("valid_loss", "bits_per_base"), "metric")
    for row in sorted(rows.to_dict("records"), key=lambda row: row["output"] != "markov"):
        texts = {c: format(row[c], form) for c, form in forms.items() if not pd.isna(row[c]) and row[c] != ""}
        table.append({"model": "Markov model" if row["output"] == "markov" else "AWD-LSTM", **texts})
    names = {"valid_loss": "loss", "version": "commit"}
    frame = _text_frame(table, ["model", *forms])
    return frame.rename(columns=lambda column: names.get(column, column.replace("_", " ")))


_AUC_MEANING = ("ROC-AUC with its 95 % interval (DeLong, logit scale). oof: every sequence scored once, by a model not trained on it; "
                "test: one fixed test set. Minutes: training and scoring of all folds and species, pretraining not included.")
_TABLES = {  # name: function, result file, what its numbers mean
    "headline": (headline_table, "enhancers.csv", _AUC_MEANING),
    "auc": (auc_table, "enhancers.csv", _AUC_MEANING),
    "threshold": (threshold_table, "enhancers.csv",
                  "Metrics at probability 0.5; accuracy with its 95 % interval (Wilson)."),
    "language_models": (language_model_table, "language_models.csv",
                        "Loss in nats per token on held-out sequence, without interval; only bits per base compares "
                        "models of different k and stride."),
}


def _load(root: Path) -> dict[str, pd.DataFrame]:
    """The tables of results/ by file name; one that no run has written yet is empty."""
    folder = root / "results"
    return {"published.csv": read_published(folder / "published.csv"),
            **{name: read_results(folder / name, missing_ok=True) for name in ("enhancers.csv", "language_models.csv")}}


def _profiles(frames: dict[str, pd.DataFrame]) -> list[str]:
    """The profiles that have results."""
    return sorted({*frames["enhancers.csv"]["profile"], *frames["language_models.csv"]["profile"]})


def _table(name: str, profile: str, frames: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, str]:
    """A table and its caption."""
    make, file, meaning = _TABLES[name]
    origin = ("simulated sequences, which say nothing about real ones." if profile == "simulated" else
              "published rows from `results/published.csv`, not rerun: the figures and the test sets are those of their authors.")
    caption = f"Profile `{profile}`. {meaning} Numbers come from `results/{file}`; {origin}"
    return make(frames[file], frames["published.csv"], profile), caption


def _markdown(frame: pd.DataFrame) -> str:
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell).replace("|", r"\|") for cell in row) + " |" for row in rows)


def _with_tables(path: Path, frames: dict[str, pd.DataFrame]) -> str:
    """The text of `path` with every table between markers made anew."""
    lines, opened = [], 0
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        opening = re.fullmatch(r"\s*<!--\s*table:\s*(.*?)\s*-->\s*", line)
        closing = re.fullmatch(r"\s*<!--\s*/table\s*-->\s*", line)
        if opening and opened:
            break
        if closing and not opened:
            raise ValueError(f"{path}, line {number}: this closes a table marker that was not opened")
        if opening:
            name, _, profile = opening[1].partition(" ")
            known = sorted({*_PROFILES, *_profiles(frames)})
            if name not in _TABLES or profile not in known:
                raise ValueError(f"{path}, line {number}: unknown table {opening[1]!r}; give one of "
                                 f"{', '.join(_TABLES)} and one of the profiles {', '.join(known)}")
            table, caption = _table(name, profile, frames)
            lines += [line, "", _markdown(table), "", caption, ""]
            opened = number
        elif closing or not opened:
            lines.append(line)
            opened = 0
    if opened:
        raise ValueError(f"{path}, line {opened}: the table marker is not closed by <!-- /table -->")
    return "\n".join(lines)


def update_tables(root: str | Path, check: bool = False) -> list[Path]:
    """Rewrite the tables of the READMEs from results/ and return the files that were out of step; `check` only returns.

    A table stands between the lines `<!-- table: NAME PROFILE -->` and `<!-- /table -->`; NAME is `headline`,
    `auc`, `threshold` or `language_models`. ValueError, before any file is written, for an unknown name or a marker without its partner.
    """
    frames = _load(Path(root))
    texts = {path: _with_tables(path, frames) for path in (Path(root) / name for name in _READMES)}
    stale = [path for path, text in texts.items() if text != path.read_text(encoding="utf-8")]
    for path in [] if check else stale:
        with replacing(path) as temporary:
            temporary.write_text(texts[path], encoding="utf-8")
    return stale


def _show(root: Path, profile: str) -> None:
    frames = _load(root)
    if profile not in _profiles(frames):  # a folder: its rows bear its name
        profile = Path(profile).expanduser().resolve().name
    if profile not in _profiles(frames):
        raise ValueError(f"no results of profile {profile!r} in {root / 'results'}; there are results of: "
                         f"{', '.join(_profiles(frames)) or 'none'}")
    for name in [name for name in _TABLES if name != "headline"]:  # whose rows are among those of `auc`
        table, caption = _table(name, profile, frames)
        print(f"{caption}\n\n{table.to_string(index=False)}\n")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent, help="the project's folder")
    commands = parser.add_subparsers(dest="command", required=True)
    tables = commands.add_parser("tables", help="rewrite the tables in the READMEs")
    tables.add_argument("--check", action="store_true", help="write nothing; exit 1 if a table is out of step")
    commands.add_parser("show", help="print the tables of a profile").add_argument("profile")
    options = parser.parse_args(arguments)
    try:
        if options.command == "show":
            _show(options.root, options.profile)
            return 0
        stale = update_tables(options.root, check=options.check)
    except (ValueError, OSError) as error:
        sys.exit(f"evaluation.py: {error}")
    for path in stale:
        print(f"{path}: {'out of step; run python evaluation.py tables' if options.check else 'tables updated'}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
