"""A trained classifier applied to DNA of one's own: sequences of any length, from FASTA, or from BED and a genome, to tables.

Intervals are half-open and counted from 0, as in BED.
"""
import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from awd_lstm import Classifier
from genome import read_fasta
from kmers import span_of
from lookup import fetch, open_fasta
from models import load_classifier
from profiles import ROOT
from records import code_version, replacing
from textfiles import read_lines
from utils import KmerTokenizer, predict_probabilities

__all__ = ["SCORE_COLUMNS", "Record", "Scorer", "full_precision", "read_bed", "read_records", "score_records", "stem_of",
           "windows_of", "write_scores"]

WINDOW = 500  # bases: the length of the sequences that the classifiers were trained on
AT_ONCE = 2048  # windows predicted together
SCORE_COLUMNS = {"name": pa.string(), "chrom": pa.string(), "start": pa.int64(), "end": pa.int64(), "windows": pa.int64(),
                 "probability": pa.float64(), "mean_probability": pa.float64(), "best_start": pa.int64(), "best_end": pa.int64()}

@dataclass
class Scorer:
    """A classifier ready to score DNA; `name` and `config` say which one it is."""
    name: str
    model: Classifier
    tokenizer: KmerTokenizer
    config: dict

    @classmethod
    def load(cls, folder: str | Path) -> "Scorer":
        """The classifier that a notebook saved in `folder`, or one of `models/`; a relative path starts at the project's folder.

        Raises FileNotFoundError and ValueError as `models.load_classifier`.
        """
        model, config = load_classifier(ROOT / folder)
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        architecture = config["architecture"]
        return cls(Path(folder).name, model, KmerTokenizer(architecture["k"], architecture["stride"]), config)

    @property
    def shortest(self) -> int:
        """Bases that a sequence must have: those of the longest k-mer or pattern that the model reads."""
        return max([self.tokenizer.k, *map(span_of, self.model.composition.ks if self.model.composition else ())])

    def probabilities(self, sequences: Sequence[np.ndarray], both_strands: bool = True) -> np.ndarray:
        """P(enhancer) of base codes (uint8 arrays of `shortest` bases or more), float64 [sequences].

        The mean of both strands, or with `both_strands=False` of the strand as given. NaN where more than half of the bases
        are not A, C, G or T or no `shortest` of them stand side by side. The number depends on how many sequences are given
        together by rounding only. Raises ValueError, naming the index, for a sequence that is too short.
        """
        short = next((i for i, s in enumerate(sequences) if len(s) < self.shortest), None)
        if short is not None:
            raise ValueError(f"sequence {short} (counted from 0) has {len(sequences[short])} bases; this model needs {self.shortest}")
        scores = np.full(len(sequences), np.nan)
        clean = [i for i, s in enumerate(sequences) if self._is_clean(s)]
        for chosen in (clean[i:i + AT_ONCE] for i in range(0, len(clean), AT_ONCE)):
            scores[chosen] = predict_probabilities(self.model, [sequences[i] for i in chosen], self.tokenizer, both_strands=both_strands,
                                                         backwards=self.config.get("direction") == "backward")
        return scores

    def log_odds(self, sequences: Sequence[np.ndarray], both_strands: bool = True) -> np.ndarray:
        """`probabilities` as natural log-odds, float64 [sequences], within -16 and 16; in float32, as they are for small differences."""
        with full_precision(self.model):
            p = self.probabilities(sequences, both_strands).clip(1e-7, 1 - 1e-7)
        return np.log(p / (1 - p))

    def _is_clean(self, codes: np.ndarray) -> bool:
        ambiguous = np.flatnonzero(codes > 3)
        if 2 * len(ambiguous) > len(codes):
            return False
        return np.diff(ambiguous, prepend=-1, append=len(codes)).max() > self.shortest

    def made_by(self, **parameters) -> str:
        """One line of JSON that says what made an output: the model, its weights' checksum, the code version, the parameters."""
        return json.dumps({"made_by": "Mammalian Genome Notebooks", "model": self.name, "weights_sha256": self.config["weights_sha256"],
                           "code": code_version(ROOT), **parameters})


@contextmanager
def full_precision(model: Classifier) -> Iterator[None]:
    """No bfloat16 or float16 products meanwhile: their rounding is a tenth of what a single base changes."""
    before, model.encoder.bf16 = model.encoder.bf16, False
    try:
        yield
    finally:
        model.encoder.bf16 = before


# --- What there is to score ------------------------------------------------------------------------------------------

class Record(NamedTuple):
    """A sequence to score: its name, base codes, and where it lies (for FASTA: in itself)."""
    name: str
    codes: np.ndarray
    chrom: str
    start: int


def read_records(path: str | Path, genome: str | Path | None = None) -> Iterator[Record]:
    """The sequences of a FASTA file, or of the intervals of a BED file (`.bed`, `.narrowPeak`, `.broadPeak`, also `.gz`) and a genome."""
    if re.search(r"\.(bed|narrowpeak|broadpeak)(\.b?gz)?$", str(path), re.I):
        if genome is None:
            raise ValueError(f"{path}: a BED file needs the FASTA file of its genome: set GENOME")
        return read_bed(path, genome)
    return _fasta_records(path)


def _fasta_records(path: str | Path) -> Iterator[Record]:
    """Records of a FASTA file one at a time, see `genome.read_fasta`; one without a name is called by its number."""
    for number, record in enumerate(read_fasta(path), 1):
        name = record.name or f"record_{number}"
        yield Record(name, record.codes, name, 0)


def stem_of(path: Path) -> str:
    """The name of a file without the ending of its format and compression: `peaks.1.bed.gz` is `peaks.1`."""
    return re.sub(r"\.b?gz$", "", path.name).rsplit(".", 1)[0]


def read_bed(path: str | Path, genome: str | Path) -> Iterator[Record]:
    """The sequences of the intervals of a BED file (plain or compressed), one at a time, from a genome's FASTA file.

    The name is the fourth column, or `chrom:start-end`. Strands are left aside: scores are the mean of both. Raises
    FileNotFoundError, or ValueError naming the file and the line of an interval that is malformed or not in the genome.
    """
    found, bases = False, open_fasta(genome)
    for number, line in read_lines(path):
        if not line.strip() or line.startswith("#") or line.split(maxsplit=1)[0] in ("track", "browser"):
            continue
        cells, found = line.split("\t" if "\t" in line else None), True
        try:
            if len(cells) < 3 or not (cells[1].isdecimal() and cells[2].isdecimal()):
                raise ValueError("expected contig, start and end, separated by tabs, the latter two whole numbers")
            chrom, start, end = cells[0], int(cells[1]), int(cells[2])
            codes = fetch(bases, chrom, start, end)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        yield Record("".join(cells[3:4]) or f"{chrom}:{start}-{end}", codes, chrom, start)
    if not found:
        raise ValueError(f"{path}: there is no interval in it")


# --- Scores ----------------------------------------------------------------------------------------------------------

def windows_of(length: int, size: int = WINDOW, step: int = WINDOW // 2) -> list[int]:
    """Starts of the windows by which a sequence is covered: every `step` bases, and one that ends where the sequence ends.

    A sequence of at most `size` bases is one window, as long as it is.
    """
    if length <= size:
        return [0]
    starts = list(range(0, length - size + 1, step))
    return starts if starts[-1] + size == length else [*starts, length - size]


def score_records(scorer: Scorer, records: Iterable[Record], both_strands: bool = True) -> Iterator[pd.DataFrame]:
    """Tables with `SCORE_COLUMNS`, one row a record, in order; memory stays that of some thousand windows and one record.

    A record longer than 500 bases is covered by windows of 500, one every 250: `probability` is that of the best window
    (`best_start`, `best_end`), `mean_probability` the mean of all that can be scored. The best of many is high by chance alone,
    so compare sequences of one length, or their means. NaN, and -1 for the window, where none can be scored. ValueError names
    a record that is shorter than the model needs.
    """
    waiting, n_windows = [], 0
    for record in records:
        if len(record.codes) < scorer.shortest:
            raise ValueError(f"{record.name}: {len(record.codes)} bases are too few, this model needs {scorer.shortest}; leave it out")
        waiting.append(record)
        n_windows += len(windows_of(len(record.codes)))
        if n_windows >= AT_ONCE:
            yield _score(scorer, waiting, both_strands)
            waiting, n_windows = [], 0
    if waiting:
        yield _score(scorer, waiting, both_strands)


def _score(scorer: Scorer, records: list[Record], both_strands: bool) -> pd.DataFrame:
    starts = [np.array(windows_of(len(record.codes))) for record in records]
    pieces = [record.codes[start:start + WINDOW] for record, those in zip(records, starts) for start in those]
    scores = np.split(scorer.probabilities(pieces, both_strands), np.cumsum([len(those) for those in starts])[:-1])
    rows = []
    for record, those, p in zip(records, starts, scores):
        scored = not np.isnan(p).all()
        best = those[np.nanargmax(p)] if scored else 0
        place = (record.start + best, record.start + min(best + WINDOW, len(record.codes))) if scored else (-1, -1)
        rows.append((record.name, record.chrom, record.start, record.start + len(record.codes), len(those),
                     *((np.nanmax(p), np.nanmean(p)) if scored else (np.nan, np.nan)), *place))
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))


def write_scores(tables: Iterable[pd.DataFrame], stem: str | Path, made_by: str) -> dict[str, Path]:
    """Write `<stem>.tsv`, `.parquet` and `.bed` while the tables come; each takes its name when all are complete.

    `made_by` heads the TSV and BED as a comment and stands in the Parquet's metadata. BED scores are 1000 times the probability,
    rounded; 0 where there is none.
    """
    paths = {kind: Path(f"{stem}.{kind}") for kind in ("tsv", "parquet", "bed")}
    schema = pa.schema(list(SCORE_COLUMNS.items()), metadata={"made_by": made_by})
    with ExitStack() as stack:
        tsv, parquet, bed = (stack.enter_context(replacing(path)) for path in paths.values())
        texts = [stack.enter_context(open(path, "w", encoding="utf-8")) for path in (tsv, bed)]
        writer = stack.enter_context(pq.ParquetWriter(parquet, schema))
        for text in texts:
            text.write(f"# {made_by}\n")
        texts[0].write("\t".join(SCORE_COLUMNS) + "\n")
        for table in tables:
            writer.write_table(pa.Table.from_pandas(table, schema, preserve_index=False))
            table.to_csv(texts[0], sep="\t", header=False, index=False, float_format="%.6g", na_rep="NA", lineterminator="\n", quoting=csv.QUOTE_NONE)
            score = (1000 * table.probability).round().fillna(0).astype(int)
            table[["chrom", "start", "end", "name"]].assign(score=score, strand=".").to_csv(
                texts[1], sep="\t", header=False, index=False, lineterminator="\n", quoting=csv.QUOTE_NONE)
    return paths
