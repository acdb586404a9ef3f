"""The corpus of a profile's language models: which stretches of its genomes are read, which judge, and by which rules they were chosen."""
import json
from pathlib import Path

import pandas as pd

from records import read_table, replacing, write_table

__all__ = ["COLUMNS", "read_corpus", "write_corpus"]

COLUMNS = ("species", "contig", "start", "end", "split")


def write_corpus(folder: str | Path, segments: pd.DataFrame, **rules) -> None:
    """Write `segments.parquet` (one row a stretch, `COLUMNS`; split is train or valid) and `corpus.json` (the rules) into `folder`.

    Raises ValueError, with nothing written, for other columns and when nothing is left to train on.
    """
    if tuple(segments.columns) != COLUMNS:
        raise ValueError(f"segments must have the columns {', '.join(COLUMNS)}, not {', '.join(segments.columns)}")
    if not segments.split.eq("train").any():
        raise ValueError("every stretch is held out: nothing is left to train on; make HELD_OUT match fewer contigs")
    with replacing(Path(folder) / "corpus.json") as path:
        path.write_text(json.dumps(rules, indent=1) + "\n", encoding="utf-8")
        write_table(Path(folder) / "segments.parquet", segments)


def read_corpus(folder: str | Path) -> tuple[pd.DataFrame, dict]:
    """What `write_corpus` wrote: (segments, rules).

    Raises FileNotFoundError naming the notebook that makes it, ValueError naming a damaged file.
    """
    paths = [Path(folder) / name for name in ("segments.parquet", "corpus.json")]
    if missing := [str(path) for path in paths if not path.exists()]:
        raise FileNotFoundError(f"{' and '.join(missing)} missing: run `Mammals LM 0 Genomic Data Processing` for this profile first")
    try:
        rules = json.loads(paths[1].read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{paths[1]}: damaged ({error}); run `Mammals LM 0 Genomic Data Processing` for this profile again") from error
    return read_table(paths[0]), rules
