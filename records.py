"""Result rows, predictions and the code version on disk: what a run leaves behind for tables.py."""

import csv
import math
import operator
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from filelock import FileLock

from files import replacing
from profiles import LABEL_FORM

__all__ = ["ENHANCER_COLUMNS", "ENHANCER_KEY", "LANGUAGE_MODEL_COLUMNS", "LANGUAGE_MODEL_KEY", "PREDICTION_COLUMNS",
           "PUBLISHED_COLUMNS", "code_version", "predictions_path", "select", "read_predictions", "read_published", "read_results",
           "read_table", "record", "replacing", "version_range", "write_predictions", "write_table"]

# The key columns identify a run; they come first and order the file. Blank `settings` and hashes: all as the notebooks' defaults, or
# recorded before there were such columns.
ENHANCER_KEY = ("profile", "species", "model", "trained_on", "label", "k", "stride", "direction", "output", "contexts", "scale",
                "settings", "encoder", "encoder_hash", "split", "fold", "seed")
LANGUAGE_MODEL_KEY = ("profile", "k", "stride", "direction", "output", "contexts", "scale", "settings", "corpus_hash", "seed")
ENHANCER_COLUMNS = (*ENHANCER_KEY, "n_train", "n_test", "auroc", "auroc_low", "auroc_high", "average_precision",
                    "accuracy", "precision", "recall", "specificity", "mcc", "brier", "seconds", "device", "version",
                    "command")
# `weights_hash`: first digits of the SHA-256 of the model's weights, which `encoder_hash` names in the rows of its classifiers.
LANGUAGE_MODEL_COLUMNS = (*LANGUAGE_MODEL_KEY, "weights_hash", "bases_seen", "tokens_seen", "n_valid_tokens", "valid_loss",
                          "accuracy", "perplexity", "bits_per_base", "seconds", "device", "version", "command")
PUBLISHED_COLUMNS = ("source", "species", "model", "metric", "value", "value_unrounded", "n", "note", "citation")
PREDICTION_COLUMNS = ("id", "label", "fold", "probability")

_SCHEMAS = {"enhancers.csv": (ENHANCER_COLUMNS, ENHANCER_KEY),
            "language_models.csv": (LANGUAGE_MODEL_COLUMNS, LANGUAGE_MODEL_KEY)}
_INTEGERS = {"k", "stride", "seed", "n_train", "n_test", "bases_seen", "tokens_seen", "n_valid_tokens"}
_FLOATS = {"auroc", "auroc_low", "auroc_high", "average_precision", "accuracy", "precision", "recall", "specificity",
           "mcc", "brier", "seconds", "valid_loss", "perplexity", "bits_per_base"}
_NEVER_BLANK = {"profile", "species", "model", "split", "fold", "seed", "n_test", "auroc", "auroc_low", "auroc_high",
                "bases_seen", "valid_loss", "bits_per_base", "version"}
_HASH = "[0-9a-f]{8}"
_FORMS = {"label": LABEL_FORM, **dict.fromkeys(["settings", "encoder_hash", "corpus_hash", "weights_hash"], _HASH),
          "fold": r"\d+|oof|test", "split": "original|folds|grouped|composition_matched",
          "output": "bases|kmer|markov"}
# How a column is written in the name of a predictions file, where its value alone would not tell which column it is.
_IN_NAMES = {"k": "k", "stride": "stride", "contexts": "contexts", "settings": "settings-", "encoder": "encoder", "encoder_hash": "weights-",
             "trained_on": "from-", "seed": "seed"}


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
            if not -2 ** 63 <= operator.index(value) < 2 ** 63:
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
        return None if text == "" else int(text) if column in _INTEGERS else float(text) if column in _FLOATS else text
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
            raise ValueError(f"{path}, line {number}: {error}. Repair the line or restore the file from git; it was "
                             "left as it is.") from error
        rows[identity] = row
    return rows


def _sort_key(identity: tuple[str, ...]) -> list[tuple[int, str]]:
    """Numbers by value, blanks and text before them."""
    return [(int(cell), "") if cell.isdecimal() else (-1, cell) for cell in identity]


def record(path: str | Path, row: Mapping) -> None:
    """Add a run to results/enhancers.csv or results/language_models.csv, or replace the row of the same run.

    `row` has exactly `ENHANCER_COLUMNS` or `LANGUAGE_MODEL_COLUMNS` (the file's name decides), None or "" where a
    column does not apply. A run is identified by the columns up to `seed`. The file stays sorted by them and is
    replaced as a whole, under a lock (`<path>.lock`) that keeps parallel runs from losing each other's rows. A Markov
    reference stands among the language models with output `markov` and its order in `contexts`. ValueError, with the
    file untouched, for unknown or missing columns, values of the wrong type (NaN too) and a damaged file. Where several
    processes train together, have one of them record (`distributed.written_by_the_first`).
    """
    path = Path(path)
    columns, key = _schema(path)
    if set(row) != set(columns):
        raise ValueError(f"row for {path}: missing columns {[c for c in columns if c not in row]}, "
                         f"unknown columns {[c for c in row if c not in columns]}")
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
    """A result file as a table: whole numbers Int64 (blank: NA), others float64 (blank: NaN), text str (blank: "").

    ValueError names the file and line of a row that is not as `record` writes them; `missing_ok` makes a file that no
    run has written yet an empty table instead of FileNotFoundError.
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
    if set(frame.columns) != set(PREDICTION_COLUMNS):
        raise ValueError(f"{path}: columns must be {', '.join(PREDICTION_COLUMNS)}, not {', '.join(frame.columns)}")
    repeated = frame.loc[frame["id"].duplicated(), "id"]
    if len(repeated):
        raise ValueError(f"{path}: one row a sequence, but {repeated.iloc[0]!r} is there twice")
    if not frame["label"].isin((0, 1)).all() or not frame["probability"].between(0, 1).all():
        raise ValueError(f"{path}: labels must be 0 or 1 and probabilities in [0, 1], none missing")
    types = {"id": "str", "label": "int8", "fold": "str", "probability": "float64"}
    return frame[list(PREDICTION_COLUMNS)].astype(types).reset_index(drop=True)


def write_predictions(path: str | Path, frame: pd.DataFrame) -> None:
    """Write columns id, label (0, 1), fold, probability as Parquet, one row a sequence; ValueError if not so."""
    write_table(path, _check_predictions(path, frame))


def write_table(path: str | Path, frame: pd.DataFrame) -> None:
    """Write a table as Parquet without its index, whole or not at all; its folder is made if need be."""
    with replacing(Path(path)) as temporary:
        frame.to_parquet(temporary, index=False, compression="zstd")


def read_predictions(path: str | Path) -> pd.DataFrame:
    """What `write_predictions` wrote: id str, label int8, fold str, probability float64."""
    return _check_predictions(path, read_table(path))


def read_table(path: str | Path) -> pd.DataFrame:
    """What `write_table` wrote. Raises FileNotFoundError, or ValueError naming the file when it is damaged or no Parquet."""
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise ValueError(f"{path}: damaged, or no Parquet file ({error}); make it again, or restore it from git") from error


def select(results: pd.DataFrame, **values) -> pd.DataFrame:
    """Rows whose columns have the given values: one value, or a list of those allowed; None stands for a blank."""
    chosen = pd.Series(True, index=results.index)
    for column, value in values.items():
        allowed = value if isinstance(value, list) else [value]
        blank = results[column].isna() | (results[column] == "").fillna(False)
        chosen &= results[column].isin(allowed) | (blank & (None in allowed))
    return results[chosen]


def predictions_path(root: str | Path, row: Mapping) -> Path:
    """File of the predictions behind an enhancer row (a mapping or a table's row); all folds of a setting share it.

    It lies in a folder of its profile and species. The label, which a user chooses, comes last and says that it is one: no label
    makes the file of a trial look like that of another model.
    """
    def word(column: str) -> str:
        value = row.get(column)
        return "" if value is None or pd.isna(value) or value == "" else _IN_NAMES.get(column, "") + str(value).replace(" ", "-")

    words = [word(column) for column in ENHANCER_KEY if column not in ("profile", "species", "label", "fold")]
    if row.get("label"):
        words.append(f"trial-{row['label']}")
    folder = Path(root) / "results" / "predictions" / str(row["profile"]) / str(row["species"])
    return folder / f"{'_'.join(filter(None, words))}.parquet"


def version_range(*versions: str) -> str:
    """The code versions, oldest first, that had a part in a result, in one cell: "a", or "a..b" for the first and the last of several."""
    seen = list(dict.fromkeys(end for version in versions for end in version.split("..")))
    return seen[0] if len(seen) == 1 else f"{seen[0]}..{seen[-1]}"


def code_version(root: str | Path) -> str:
    """`git describe` of the code, with "-dirty" if *.py, *.ipynb or requirements*.txt are changed or new.

    Fresh results do not make it dirty. "unknown" outside git.
    """
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("describe", "--always", "--tags")
        changed = git("status", "--porcelain", "--untracked-files=all", "--", "*.py", "*.ipynb", "requirements*.txt")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}-dirty" if changed else commit
