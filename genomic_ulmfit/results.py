"""Result rows, predictions and the code version on disk: what a run leaves behind for `tables.py`."""

import csv
import hashlib
import json
import math
import operator
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from filelock import FileLock

from genomic_ulmfit.allowed import FOLDS, SPLITS, TRIAL_FORM, split_and_fold
from genomic_ulmfit.files import read_table, replacing, write_table
from genomic_ulmfit.metrics import classification_metrics, groups_to_draw
from genomic_ulmfit.profiles import results_folder

__all__ = [
    "ENHANCER_COLUMNS",
    "ENHANCER_KEY",
    "LANGUAGE_MODEL_COLUMNS",
    "LANGUAGE_MODEL_KEY",
    "PREDICTION_COLUMNS",
    "PUBLISHED_COLUMNS",
    "VARIANT_EFFECT_COLUMNS",
    "VARIANT_EFFECT_KEY",
    "code_version",
    "keep_labelled",
    "predictions_path",
    "read_predictions",
    "read_published",
    "read_results",
    "save_result",
    "record_run",
    "select",
    "version_range",
    "with_shared_rows",
    "write_predictions",
]

# The key columns identify a run; they come first and order the file. Blank `settings` and hashes: all as the
# notebooks' defaults, or recorded before there were such columns.
ENHANCER_KEY = (
    "profile",
    "species",
    "model",
    "trained_on",
    "trial",
    "k",
    "stride",
    "direction",
    "predicts",
    "contexts",
    "scale",
    "settings",
    "encoder",
    "encoder_hash",
    "split",
    "fold",
    "seed",
)
LANGUAGE_MODEL_KEY = (
    "profile",
    "k",
    "stride",
    "direction",
    "predicts",
    "contexts",
    "scale",
    "settings",
    "corpus_hash",
    "seed",
)
ENHANCER_COLUMNS = (
    *ENHANCER_KEY,
    "n_train",
    "n_test",
    "auroc",
    "auroc_low",
    "auroc_high",
    "average_precision",
    "accuracy",
    "precision",
    "recall",
    "specificity",
    "mcc",
    "brier",
    "seconds",
    "device",
    "version",
    "command",
)
# `weights_hash`: first digits of the SHA-256 of the model's weights, `encoder_hash` in the rows of its
# classifiers.
LANGUAGE_MODEL_COLUMNS = (
    *LANGUAGE_MODEL_KEY,
    "weights_hash",
    "bases_seen",
    "tokens_seen",
    "n_valid_tokens",
    "valid_loss",
    "accuracy",
    "perplexity",
    "bits_per_base",
    "seconds",
    "device",
    "version",
    "command",
)
# How well predicted effects of single-base changes agree with measured ones. `experiment`: what was measured,
# `element`: one of its elements, or the mean of its targets. `weights_hash` as above, blank for a baseline;
# `trained_on`: species, split and fold of the labelled sequences, blank where there are none.
VARIANT_EFFECT_KEY = (
    "profile",
    "experiment",
    "element",
    "model",
    "weights_hash",
    "trained_on",
    "min_barcodes",
)
VARIANT_EFFECT_COLUMNS = (
    *VARIANT_EFFECT_KEY,
    "n",
    "pearson",
    "pearson_low",
    "pearson_high",
    "spearman",
    "spearman_low",
    "spearman_high",
    "n_strong",
    "strong_auroc",
    "strong_auroc_low",
    "strong_auroc_high",
    "version",
    "command",
)
_LABELLED_COLUMNS = ("profile", "species", "labelled_hash")
PUBLISHED_COLUMNS = (
    "source",
    "species",
    "model",
    "metric",
    "value",
    "value_unrounded",
    "n",
    "note",
    "citation",
)
# A column `group` may follow: sequences of one group are not independent, and intervals come from drawing
# groups.
PREDICTION_COLUMNS = ("id", "label", "fold", "probability")

_SCHEMAS = {
    "enhancers.csv": (ENHANCER_COLUMNS, ENHANCER_KEY),
    "language_models.csv": (LANGUAGE_MODEL_COLUMNS, LANGUAGE_MODEL_KEY),
    "variant_effects.csv": (VARIANT_EFFECT_COLUMNS, VARIANT_EFFECT_KEY),
}
_INTEGERS = {"k", "stride", "seed", "n_train", "n_test", "bases_seen", "tokens_seen", "n_valid_tokens"}
_INTEGERS |= {"n", "n_strong", "min_barcodes"}
_OWN = ("device", "command", "version")  # columns in which the folds of one run may differ
_FLOATS = {
    "auroc",
    "auroc_low",
    "auroc_high",
    "average_precision",
    "accuracy",
    "precision",
    "recall",
    "specificity",
    "mcc",
    "brier",
    "seconds",
    "valid_loss",
    "perplexity",
    "bits_per_base",
    "pearson",
    "pearson_low",
    "pearson_high",
    "spearman",
    "spearman_low",
    "spearman_high",
    "strong_auroc",
    "strong_auroc_low",
    "strong_auroc_high",
}
_NEVER_BLANK = {
    "experiment",
    "element",
    "n",
    "pearson",
    "profile",
    "species",
    "model",
    "split",
    "fold",
    "seed",
    "n_test",
    "auroc",
    "auroc_low",
    "auroc_high",
    "bases_seen",
    "valid_loss",
    "bits_per_base",
    "version",
}
_HASH = "[0-9a-f]{8}"
_FORMS = {
    "trial": TRIAL_FORM,
    **dict.fromkeys(["settings", "encoder_hash", "corpus_hash", "weights_hash"], _HASH),
    "fold": r"\d+|oof|test",
    "split": "|".join(SPLITS),
    "predicts": "bases|kmer|markov",
}
# How a column is written in a predictions file's name, if its value alone is ambiguous.
_IN_NAMES = {
    "k": "k",
    "stride": "stride",
    "contexts": "contexts",
    "settings": "settings-",
    "encoder": "encoder",
    "encoder_hash": "weights-",
    "trained_on": "from-",
    "seed": "seed",
}


def _schema(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """All columns and the key columns of a result file."""
    if path.name not in _SCHEMAS:
        raise ValueError(f"{path}: result rows are kept in files named {' or '.join(_SCHEMAS)}")
    return _SCHEMAS[path.name]


def _cell(column: str, value) -> str:
    """`value` as it is written in `column`, or ValueError."""
    if value is None or (isinstance(value, str) and value == ""):
        if column in _NEVER_BLANK:
            raise ValueError(f"{column} must not be blank")
        return ""
    try:
        if column in _INTEGERS:
            if not -(2**63) <= operator.index(value) < 2**63:
                raise ValueError(f"{column} is {value}: too large for a table")
            return str(operator.index(value))
        if column in _FLOATS:
            if not math.isfinite(value):
                raise ValueError(f"{column} is {value}: give None where a column does not apply")
            return format(float(value), ".6g")
    except TypeError as error:
        kind = "a whole number" if column in _INTEGERS else "a number"
        raise ValueError(f"{column} must be {kind}, not {value!r}") from error
    text = str(value) if column == "fold" else value
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError(f"{column} must be text of one line, not {value!r}")
    if column in _FORMS and not re.fullmatch(_FORMS[column], text):
        raise ValueError(f"{column} must be one of {_FORMS[column]}, not {text!r}")
    return text


def _parse(column: str, text: str) -> int | float | str | None:
    """The value of a number's cell, or the text of any other; None for a blank one."""
    try:
        return (
            None
            if text == ""
            else int(text)
            if column in _INTEGERS
            else float(text)
            if column in _FLOATS
            else text
        )
    except ValueError as error:
        raise ValueError(f"{column} is not a number: {text!r}") from error


def _read_rows(path: Path) -> dict[tuple[str, ...], dict[str, str]]:
    """The checked rows of a result file by their key; ValueError names the first line that is damaged."""
    columns, key = _schema(path)
    lines, rows = path.read_bytes().splitlines(keepends=True) or [b""], {}
    for number, line in enumerate(lines, 1):
        try:
            if not line.endswith(b"\n"):
                raise ValueError("the line is cut off")
            cells = next(csv.reader([line.decode("utf-8")], strict=True))  # no cell holds a line break
            if number == 1:
                if tuple(cells) != columns:
                    raise ValueError(f"the header must be {','.join(columns)}")
                continue
            if len(cells) != len(columns):
                raise ValueError(f"{len(cells)} cells, not {len(columns)}")
            row = {column: _cell(column, _parse(column, cell)) for column, cell in zip(columns, cells)}
            identity = tuple(row[column] for column in key)
            if identity in rows:
                raise ValueError("the same run stands in an earlier line")
        except (ValueError, csv.Error) as error:
            raise ValueError(
                f"{path}, line {number}: {error}. Repair the line or restore the file from git; it was "
                "left as it is."
            ) from error
        rows[identity] = row
    return rows


def _sort_key(identity: tuple[str, ...]) -> list[tuple[int, str]]:
    """Numbers by value, blanks and text before them."""
    return [(int(cell), "") if cell.isdecimal() else (-1, cell) for cell in identity]


def save_result(path: str | Path, row: Mapping) -> None:
    """Add a run to a file of results/, or replace the row of the same run.

    `row` has exactly `ENHANCER_COLUMNS` (enhancers.csv), `LANGUAGE_MODEL_COLUMNS` (language_models.csv) or
    `VARIANT_EFFECT_COLUMNS` (variant_effects.csv), None or "" where a column does not apply. A run is
    identified by the key columns, which come first. The file stays sorted by
    them and is replaced as a whole, under a lock (`<path>.lock`) that keeps parallel runs from losing each
    other's rows. A Markov reference stands among the language models with predicts `markov` and its order in
    `contexts`. ValueError, with the file untouched, for unknown or missing columns, values of the wrong type
    (NaN too) and a damaged file. Where several processes train together, have one of them save
    (`processes.on_rank_zero`).
    """
    path = Path(path)
    columns, key = _schema(path)
    if set(row) != set(columns):
        raise ValueError(
            f"row for {path}: missing columns {[c for c in columns if c not in row]}, "
            f"unknown columns {[c for c in row if c not in columns]}"
        )
    try:
        cells = {column: _cell(column, row[column]) for column in columns}
    except ValueError as error:
        raise ValueError(f"row for {path}: {error}") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=60):
        rows = _read_rows(path) if path.exists() else {}
        rows[tuple(cells[column] for column in key)] = cells
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows[identity] for identity in sorted(rows, key=_sort_key))


def read_results(path: str | Path, missing_ok: bool = False) -> pd.DataFrame:
    """A result file as a table: Int64 (blank: NA), float64 (blank: NaN), text str (blank: "").

    ValueError names the file and line of a row that is not as `save_result` writes them; `missing_ok` makes a
    file that no run has written yet an empty table instead of FileNotFoundError.
    """
    path = Path(path)
    columns, _ = _schema(path)
    rows = [] if missing_ok and not path.exists() else _read_rows(path).values()

    def series(column: str) -> pd.Series:
        if column in _INTEGERS | _FLOATS:
            values = [_parse(column, row[column]) for row in rows]
            return pd.Series(values, dtype="Int64" if column in _INTEGERS else "float64")
        return pd.Series([row[column] for row in rows], dtype="str")

    return pd.DataFrame({column: series(column) for column in columns})


def read_published(path: str | Path) -> pd.DataFrame:
    """Published figures in long form (results/published.csv), `PUBLISHED_COLUMNS`, all of them text.

    `value` is the figure as its authors print it; `value_unrounded` is blank where they give no longer one.
    """
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if tuple(frame.columns) != PUBLISHED_COLUMNS:
        raise ValueError(f"{path}, line 1: the header must be {','.join(PUBLISHED_COLUMNS)}")
    return frame


def _check_predictions(path: str | Path, frame: pd.DataFrame) -> pd.DataFrame:
    if set(frame.columns) - {"group"} != set(PREDICTION_COLUMNS):
        raise ValueError(
            f"{path}: columns must be {', '.join(PREDICTION_COLUMNS)}, not {', '.join(frame.columns)}"
        )
    repeated = frame.loc[frame["id"].duplicated(), "id"]
    if len(repeated):
        raise ValueError(f"{path}: one row a sequence, but {repeated.iloc[0]!r} is there twice")
    if not frame["label"].isin((0, 1)).all() or not frame["probability"].between(0, 1).all():
        raise ValueError(f"{path}: labels must be 0 or 1 and probabilities in [0, 1], none missing")
    types = {"id": "str", "label": "int8", "fold": "str", "probability": "float64"}
    if "group" in frame:
        if frame["group"].isna().any():
            raise ValueError(f"{path}: {frame['id'][frame['group'].isna()].iloc[0]!r} has no group")
        types["group"] = "str"
    return frame[list(types)].astype(types).reset_index(drop=True)


def write_predictions(path: str | Path, frame: pd.DataFrame) -> None:
    """Write columns id, label (0, 1), fold, probability, and `group` if it is there, as Parquet, one row a
    sequence; ValueError if not so.
    """
    write_table(path, _check_predictions(path, frame))


def read_predictions(path: str | Path) -> pd.DataFrame:
    """What `write_predictions` wrote: id str, label int8, fold str, probability float64, and `group` str if
    it was there.
    """
    return _check_predictions(path, read_table(path))


def select(results: pd.DataFrame, **values) -> pd.DataFrame:
    """Rows whose columns have the given values: one value, or a list of those allowed.

    None stands for a blank.
    """
    chosen = pd.Series(True, index=results.index)
    for column, value in values.items():
        allowed = value if isinstance(value, list) else [value]
        blank = results[column].isna() | (results[column] == "").fillna(False)
        chosen &= results[column].isin(allowed) | (blank & (None in allowed))
    return results[chosen]


# These profiles have the same human sequences in the same folds.
_SAME_HUMAN = {"pilot": "mammals", "mammals": "pilot"}
_ASKED = [  # what makes two rows of them rows of one model
    column
    for column in ENHANCER_KEY
    if column not in ("profile", "species", "contexts", "settings", "encoder", "encoder_hash", "fold")
]


def with_shared_rows(results: pd.DataFrame, profile: str) -> pd.DataFrame:
    """The rows of a profile and, of `pilot` and `mammals`, human rows of the other one that it lacks.

    Both have the same human sequences in the same folds, so their rows compare sequence by sequence. Only
    models are added of which the profile has no row of that split, seed and trial, whatever language model
    they start from. A row keeps its profile, so its predictions are found where they are.
    """
    own = results[results["profile"] == profile]
    other = select(results, profile=_SAME_HUMAN.get(profile, ""), species="Human")
    have, there = (
        pd.MultiIndex.from_frame(rows[_ASKED].astype(object).fillna(""))
        for rows in (select(own, species="Human"), other)
    )
    return pd.concat([own, other[~there.isin(have)]])


def predictions_path(root: str | Path, row: Mapping) -> Path:
    """File of the predictions behind an enhancer row (a mapping or a table's row).

    It lies in a folder of its profile and species. The trial's name, which a user chooses, comes last and is
    marked as one, so that no name can make its file look like another model's.
    """

    def word(column: str) -> str:
        value = row.get(column)
        return (
            ""
            if value is None or pd.isna(value) or value == ""
            else _IN_NAMES.get(column, "") + str(value).replace(" ", "-")
        )

    words = [word(column) for column in ENHANCER_KEY if column not in ("profile", "species", "trial", "fold")]
    if row.get("trial"):
        words.append(f"trial-{row['trial']}")
    folder = results_folder(Path(root)) / "predictions" / str(row["profile"]) / str(row["species"])
    return folder / f"{'_'.join(filter(None, words))}.parquet"


def version_range(*versions: str) -> str:
    """The code versions that had a part in a result, oldest first: "a", or "a..b" for first and last."""
    seen = list(dict.fromkeys(end for version in versions for end in version.split("..")))
    return seen[0] if len(seen) == 1 else f"{seen[0]}..{seen[-1]}"


def code_version(root: str | Path) -> str:
    """`git describe` of the code, with "-dirty" if code, notebooks, Snakefile or pins are changed or new.

    Fresh results do not make it dirty. "unknown" outside git. A checkout that another user owns is read as
    well.
    """

    def git(*arguments: str) -> str:
        # the code of the checkout is running already; a program that its configuration names is not started
        command = [
            "git",
            "-c",
            "safe.directory=*",
            "-c",
            "core.fsmonitor=false",
            "--no-optional-locks",
            "-C",
            str(root),
            *arguments,
        ]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("describe", "--always", "--tags")
        changed = git(
            "status",
            "--porcelain",
            "--untracked-files=all",
            "--",
            "*.py",
            "*.ipynb",
            "requirements*.txt",
            "*Snakefile",
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}-dirty" if changed else commit


def record_run(
    root: str | Path,
    identity: Mapping,
    predictions: pd.DataFrame,
    effort: pd.DataFrame,
    made_with: Mapping | None = None,
) -> pd.DataFrame:
    """Write a run's rows, one for each fold and `oof` over several, and its predictions.

    `identity`: the key columns but `fold` (those left out are blank), `device`, `version`, `command`.
    `predictions`: `PREDICTION_COLUMNS`; with a column `group` the interval of a row with five groups or more
    is that of `bootstrap_over_groups`, any other DeLong's. `effort`: `n_train` and `seconds` by fold (its
    index), and `version` where folds have their own. Returns the rows. Rows and predictions are written
    together at the end, so that an interrupted run leaves none of its own among those of an older one.

    A run of one fold alone (split "folds 3") is kept beside the predictions until all folds are there that
    were made with the same code and the same `made_with` (parameters and data, plain values): the last of
    them records what one run of all would have, each fold with its own `device` and `command`. Folds may come
    from different machines. Those that were made otherwise are named.
    """
    identity = {**dict.fromkeys(ENHANCER_KEY), **identity}
    identity["split"], alone = split_and_fold(identity["split"])
    if alone is None:
        return pd.DataFrame(_record_all(root, identity, predictions, effort))
    waiting = predictions_path(root, identity).with_suffix(".folds")
    waiting.mkdir(parents=True, exist_ok=True)
    with FileLock(waiting.with_suffix(".lock"), timeout=600):
        kept, made_with = (
            predictions.copy(),
            json.loads(json.dumps({"version": identity["version"], **(made_with or {})})),
        )
        own = {column: effort[column][alone] if column in effort else identity[column] for column in _OWN}
        kept.attrs = {
            "made_with": made_with,
            "effort": effort[["n_train", "seconds"]].astype(float).loc[alone].to_dict() | own,
        }
        write_table(waiting / f"{alone}.parquet", kept)
        others = {
            fold: read_table(path) for fold in range(FOLDS) if (path := waiting / f"{fold}.parquet").exists()
        }
        same = {fold: table for fold, table in others.items() if table.attrs.get("made_with") == made_with}
        if other := sorted(set(others) - set(same)):
            print(
                f"fold {', '.join(map(str, other))} in {waiting} was made with another version, "
                "other parameters or other data: "
                "nothing is recorded until it has run again like this one"
            )
        if len(same) < FOLDS:
            return pd.DataFrame(_rows(identity, predictions, effort))
        effort = pd.DataFrame([table.attrs["effort"] for table in same.values()], index=list(same))
        rows = _record_all(root, identity, pd.concat(same.values(), ignore_index=True), effort)
        shutil.rmtree(waiting)
    return pd.DataFrame(row for row in rows if row["fold"] in (alone, "oof"))


def keep_labelled(root: str | Path, profile: str, tables: Mapping[str, pd.DataFrame]) -> None:
    """Note in results/labelled.csv of which labelled sequences a profile's rows are: one set of a species.

    `tables`: what `enhancers.read_species` read, by species. Rows of other sequences would have the identity
    of those that are there, and replace them. Raises ValueError, with the way out, where a species has rows
    of others (a sample file was edited, say, or MIN_LENGTH changed), and for a damaged file.
    """
    path, rows_path = (
        results_folder(Path(root)) / "labelled.csv",
        results_folder(Path(root)) / "enhancers.csv",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=60):
        known, rows = _read_labelled(path), read_results(rows_path, missing_ok=True)
        for species, table in tables.items():
            digest, key = _labelled_hash(table), (profile, species)
            n_rows = len(select(rows, profile=profile, species=species))
            if n_rows and known.get(key, digest) != digest:
                raise ValueError(
                    f"{species}: these are not the labelled sequences of which {rows_path} has {n_rows:,} "
                    "rows (a sample file was edited, or MIN_LENGTH changed), and new rows would replace "
                    "those. Nothing was written. To keep both, give these sequences a folder of their own, "
                    "as PROFILE; to let the rows be replaced, delete the line "
                    f"of {profile}, {species} in {path}"
                )
            known[key] = digest
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_LABELLED_COLUMNS)
            writer.writerows([*key, digest] for key, digest in sorted(known.items()))


def _labelled_hash(table: pd.DataFrame) -> str:
    """8 hex digits: the first of SHA-256 over ids, which hold digits of the sequences, labels, and what
    decides folds."""
    columns = [column for column in ("id", "label", "region", "official") if column in table]
    return hashlib.sha256(table[columns].to_csv(index=False, lineterminator="\n").encode()).hexdigest()[:8]


def _read_labelled(path: Path) -> dict[tuple[str, str], str]:
    """Hash by profile and species, of what `keep_labelled` wrote; empty without a file."""
    if not path.exists():
        return {}
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    for number, row in enumerate(rows, 1):
        good = tuple(row) == _LABELLED_COLUMNS if number == 1 else len(row) == 3
        if not good or number > 1 and not re.fullmatch(_HASH, row[2]):
            raise ValueError(f"{path}, line {number}: damaged; restore the file from git, or delete the line")
    return {(profile, species): digest for profile, species, digest in rows[1:]}


def _record_all(
    root: str | Path, identity: Mapping, predictions: pd.DataFrame, effort: pd.DataFrame
) -> list[dict]:
    rows = _rows(identity, predictions, effort)
    write_predictions(predictions_path(root, rows[0]), predictions)
    for row in rows:
        save_result(results_folder(Path(root)) / "enhancers.csv", row)
    return rows


def _rows(identity: Mapping, predictions: pd.DataFrame, effort: pd.DataFrame) -> list[dict]:
    """One row for each fold in `effort`, and one over several.

    A fold's own values in `effort` override those of `identity`.
    """
    columns = effort.columns.intersection(["n_train", "seconds", *_OWN])
    parts = {
        fold: (predictions[predictions["fold"].astype(str) == str(fold)], effort.loc[fold, columns])
        for fold in effort.index
    }
    if len(parts) > 1:
        parts["oof"] = predictions, {"n_train": effort["n_train"].min(), "seconds": effort["seconds"].sum()}
        if "version" in effort:
            parts["oof"][1]["version"] = version_range(*effort["version"])
    return [
        {
            **identity,
            **own,
            "fold": fold,
            "n_train": int(own["n_train"]),
            "seconds": float(own["seconds"]),
            **classification_metrics(part["label"], part["probability"], groups=groups_to_draw(part)),
        }
        for fold, (part, own) in parts.items()
    ]
