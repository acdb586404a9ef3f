"""Files that are either complete or absent: a new version replaces the old one in one step."""

import csv
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pandas as pd

__all__ = ["append_tsv", "read_table", "replacing", "replacing_all", "write_table"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; it takes the place of `path` only when the block ends well.

    An error, a full disk for instance, gets a note that names `path`; a ValueError gets none: it is about
    what was read, and says itself what became of the work.
    """
    with replacing_all({"": path}) as temporaries:
        yield temporaries[""]


@contextmanager
def replacing_all(paths: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """The same for several files, by the keys of `paths`: all take their names, or none does."""
    temporaries = {key: path.with_name(f".{path.name}.{os.getpid()}.tmp") for key, path in paths.items()}
    folders = {path.parent for path in paths.values()}
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield temporaries
        for temporary in temporaries.values():
            _to_disk(temporary)  # a power cut must not leave a new name over data that were never written
        for key, path in paths.items():
            os.replace(temporaries[key], path)
    except Exception as error:
        if not isinstance(error, ValueError):
            names = ", ".join(map(str, paths.values()))
            error.add_note(f"{names} was not written; what was there before is as it was")
        raise
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)
    for folder in folders:
        _to_disk(folder)


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk and not in a cache alone."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_table(path: str | Path, frame: pd.DataFrame) -> None:
    """Write a table as Parquet without its index, whole or not at all; its folder is made if need be."""
    with replacing(Path(path)) as temporary:
        frame.to_parquet(temporary, index=False, compression="zstd")


def read_table(path: str | Path) -> pd.DataFrame:
    """What `write_table` wrote.

    Raises FileNotFoundError, or ValueError naming the file when it is damaged or no Parquet.
    """
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise ValueError(
            f"{path}: damaged, or no Parquet file ({error}); make it again, or restore it from git"
        ) from error


def append_tsv(table: pd.DataFrame, file: TextIO, quoting: int = csv.QUOTE_MINIMAL) -> None:
    """Rows of a table as tab-separated text, without header and index; NA where there is no value."""
    table.to_csv(
        file,
        sep="\t",
        header=False,
        index=False,
        float_format="%.6g",
        na_rep="NA",
        lineterminator="\n",
        quoting=quoting,
    )
