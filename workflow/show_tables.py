"""Result tables in the terminal and in the READMEs: `update`, or `show PROFILE`."""

import argparse
import re
import sys
from pathlib import Path

import pandas as pd

from genomic_ulmfit.files import replacing
from genomic_ulmfit.profiles import profile_paths, results_folder
from genomic_ulmfit.results import read_published, read_results
from genomic_ulmfit.tables import (
    auc_table,
    language_model_table,
    species_table,
    summary_rows,
    summary_table,
    threshold_table,
)
from workflow.plot_results import draw_results, is_of

__all__ = ["update_tables"]


_PROFILES = ("simulated", "pilot", "mammals", "full")


_READMES = ("README.md", "Genomic Language Models/README.md", "Enhancer Classification/README.md")


_AUC_MEANING = (
    "ROC-AUC with its 95 % interval (DeLong, logit scale; bootstrap over groups where whole groups are held "
    "out: regions of Mouse, Dog and Cow, similar sequences of newer grouped rows). oof: "
    "every sequence scored once, by a model not trained on it; "
    "test: one fixed test set. Minutes: training and scoring of all folds and species, "
    "pretraining not included."
)


_TABLES = {  # name: function, result file, what its numbers mean
    "summary": (
        summary_table,
        "enhancers.csv",
        "Human enhancers; ROC-AUC with its 95 % interval (DeLong), accuracy at probability 0.5. "
        "labels: training sequences. "
        "Our rows are out of fold: each sequence is scored once, by a model not trained on it; one training "
        "each (seed 0). A model that only `pilot` or only `mammals` has stands for both: their human "
        "sequences and folds are the same.",
    ),
    "species": (
        species_table,
        "enhancers.csv",
        "ROC-AUC with its 95 % interval (Human: DeLong; others: bootstrap over regions). Published rows are "
        "for other test sets and other negatives, and cannot be compared with ours. Ours are out of fold, "
        "one training each (seed 0, `laptop` scale).",
    ),
    "auc": (auc_table, "enhancers.csv", _AUC_MEANING),
    "threshold": (
        threshold_table,
        "enhancers.csv",
        "Metrics at probability 0.5; accuracy with its 95 % interval (Wilson).",
    ),
    "language_models": (
        language_model_table,
        "language_models.csv",
        "Loss in nats per token on held-out sequence, without interval; only bits per base compares "
        "models of different k and stride.",
    ),
}


def _load(root: Path) -> dict[str, pd.DataFrame]:
    """The tables of results/ by file name; one that no run has written yet is empty."""
    own = {
        name: read_results(results_folder(root) / name, missing_ok=True)
        for name in ("enhancers.csv", "language_models.csv")
    }
    return {"published.csv": read_published(root / "results/published.csv"), **own}


def _profiles(frames: dict[str, pd.DataFrame]) -> list[str]:
    """The profiles that have results."""
    return sorted({*frames["enhancers.csv"]["profile"], *frames["language_models.csv"]["profile"]})


def _table(name: str, profile: str, frames: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, str]:
    """A table and its caption."""
    make, file, meaning = _TABLES[name]
    origin = (
        "simulated sequences, which say nothing about real ones."
        if profile == "simulated"
        else "published rows from `results/published.csv`, not rerun: "
        "the figures and the test sets are those of their authors."
    )
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
                raise ValueError(
                    f"{path}, line {number}: unknown table {opening[1]!r}; give one of "
                    f"{', '.join(_TABLES)} and one of the profiles {', '.join(known)}"
                )
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
    """Make the tables of the READMEs, and the picture beside `summary`, anew from results/.

    Returns the files that were out of step; with `check` nothing is written. A table stands between the lines
    `<!-- table: NAME PROFILE -->` and `<!-- /table -->`; NAME is `summary`, `auc`, `threshold` or
    `language_models`. Raises ValueError, before any file is written, for an unknown name or a marker without
    its partner.
    """
    root = Path(root)
    frames = _load(root)
    texts = {path: _with_tables(path, frames) for path in (root / name for name in _READMES)}
    stale = [path for path, text in texts.items() if text != path.read_text(encoding="utf-8")]
    for path in [] if check else stale:
        with replacing(path) as temporary:
            temporary.write_text(texts[path], encoding="utf-8")
    return stale + _update_picture(root, texts[root / "README.md"], frames, check)


def _update_picture(root: Path, readme: str, frames: dict[str, pd.DataFrame], check: bool) -> list[Path]:
    """Draw the picture of the profile whose `summary` the README shows; [] if it was in step."""
    shown = re.search(r"<!-- table: summary (\S+) -->", readme)
    path = root / "figures/results.svg"
    rows = shown and summary_rows(frames["enhancers.csv"], frames["published.csv"], shown[1])
    if not shown or is_of(path, rows):
        return []
    if not check:
        draw_results(path, rows)
    return [path]


def _show(root: Path, profile: str) -> None:
    frames = _load(root)
    if profile not in _profiles(frames):
        profile = profile_paths(profile, root)[0]  # a folder: its rows bear its name
    if profile not in _profiles(frames):
        print(f"no results of profile {profile} yet")  # a trained model may have been used, or data been read
        return
    for name in [name for name in _TABLES if name != "summary"]:  # whose rows are among those of `auc`
        table, caption = _table(name, profile, frames)
        print(f"{caption}\n\n{table.to_string(index=False)}\n")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--root", type=Path, default=Path(__file__).resolve().parents[1], help="the project's folder"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    update = commands.add_parser("update", help="rewrite the tables in the READMEs")
    update.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a table is out of step"
    )
    commands.add_parser("show", help="print the tables of a profile").add_argument("profile")
    options = parser.parse_args(arguments)
    try:
        if options.command == "show":
            _show(options.root, options.profile)
            return 0
        stale = update_tables(options.root, check=options.check)
    except (ValueError, OSError) as error:
        sys.exit(f"show_tables: {error}")
    for path in stale:
        print(f"{path}: {'out of step; run make tables' if options.check else 'updated'}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
