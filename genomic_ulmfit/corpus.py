"""The corpus of a profile's language models: stretches to train on and to validate on, and the rules."""

import hashlib
import json
from pathlib import Path

import pandas as pd

from genomic_ulmfit.files import read_table, replacing, write_table

__all__ = ["COLUMNS", "read_corpus", "read_markov", "write_corpus", "write_markov"]

MARKOV = "markov.json"
COLUMNS = ("species", "contig", "start", "end", "split")


def write_corpus(folder: str | Path, segments: pd.DataFrame, **rules) -> None:
    """Write `segments.parquet` and `corpus.json` (the rules) into `folder`.

    The segments have one row a stretch (`COLUMNS`; split is train or valid).

    `corpus.json` also has `corpus_hash`, 8 hex digits that stand for what is read: the stretches, and the
    bases of their species (`<species>.bases` in `folder`). A language model's row and folder bear it. A
    Markov reference of another corpus is deleted.

    Raises ValueError, with nothing written, for other columns and when nothing is left to train on.
    """
    if tuple(segments.columns) != COLUMNS:
        raise ValueError(
            f"segments must have the columns {', '.join(COLUMNS)}, not {', '.join(segments.columns)}"
        )
    if not segments.split.eq("train").any():
        raise ValueError(
            "every stretch is held out: nothing is left to train on; make HELD_OUT match fewer contigs"
        )
    (Path(folder) / MARKOV).unlink(missing_ok=True)
    with replacing(Path(folder) / "corpus.json") as path:
        path.write_text(
            json.dumps(rules | {"corpus_hash": _content_hash(Path(folder), segments)}, indent=1) + "\n",
            encoding="utf-8",
        )
        write_table(Path(folder) / "segments.parquet", segments)


def read_corpus(folder: str | Path) -> tuple[pd.DataFrame, dict]:
    """What `write_corpus` wrote: (segments, rules).

    Raises FileNotFoundError naming the notebook that makes it, ValueError naming a damaged file.
    """
    paths = [Path(folder) / name for name in ("segments.parquet", "corpus.json")]
    if missing := [str(path) for path in paths if not path.exists()]:
        raise FileNotFoundError(
            f"{' and '.join(missing)} missing: run `Mammals LM 0 Genomic Data Processing` for this profile "
            "first"
        )
    try:
        rules = json.loads(paths[1].read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{paths[1]}: damaged ({error}); run `Mammals LM 0 Genomic Data Processing` for this profile "
            "again"
        ) from error
    if "corpus_hash" not in rules:
        raise ValueError(
            f"{paths[1]} has no corpus_hash, as older versions wrote it: "
            "run `Mammals LM 0 Genomic Data Processing` again"
        )
    return read_table(paths[0]), rules


def _content_hash(folder: Path, segments: pd.DataFrame) -> str:
    found = hashlib.sha256(segments.to_csv(index=False).encode())
    for species in sorted(segments.species.unique()):
        if (path := folder / f"{species}.bases").exists():
            with open(path, "rb") as file:
                found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()[:8]


def write_markov(folder: str | Path, bits_per_base: dict[str, float]) -> None:
    """Save the best Markov model's bits per base of each species, beside the corpus it was counted on."""
    with replacing(Path(folder) / MARKOV) as path:
        path.write_text(
            json.dumps({species: float(bits) for species, bits in bits_per_base.items()}, indent=1) + "\n"
        )


def read_markov(folder: str | Path) -> dict[str, float]:
    """What `write_markov` kept, by species. Raises FileNotFoundError naming the notebook that makes it."""
    path = Path(folder) / MARKOV
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: run `Mammals LM 0 Genomic Data Processing` for this profile to its end"
        )
    return json.loads(path.read_text())
