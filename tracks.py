"""Scores along a genome: windows slid over a region, as bedGraph and bigWig tracks, and simple calls as BED."""
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig

from lookup import ReferenceGenome, contigs_of, fetch
from records import replacing
from scoring import WINDOW, Scorer

__all__ = ["call_peaks", "on_a_genome", "operating_points", "parse_region", "scan", "write_peaks", "write_tracks"]

PIECE = 1 << 20  # bases of a contig in memory at a time
THRESHOLDS = (.3, .4, .5, .6, .7, .8, .9, .95, .98)


def parse_region(region: str, genome: ReferenceGenome) -> tuple[str, int, int]:
    """`chr7:1,000-2,000` (bases counted from 1, both ends included, as browsers write it) or `chr7` -> (contig, start, end), half-open from 0.

    Raises ValueError for a contig or an interval that the genome lacks.
    """
    region = str(region)
    if region in genome.references:
        return region, 0, genome.get_reference_length(region)
    chrom, _, interval = region.rpartition(":")
    first, _, last = interval.replace(",", "").partition("-")
    if not (chrom and first.isdecimal() and last.isdecimal() and int(first) >= 1):
        raise ValueError(f"REGION={region!r}: use contig:first-last, as chr7:1,000-2,000, or the name of a contig: "
                         f"{contigs_of(genome)}")
    fetch(genome, chrom, int(first) - 1, int(last))
    return chrom, int(first) - 1, int(last)


def scan(scorer: Scorer, genome: ReferenceGenome, regions: Iterable[tuple[str, int, int]], step: int) -> Iterator[pd.DataFrame]:
    """Slide a window of 500 bases over (contig, start, end) by `step` bases: tables with columns chrom, start, end, probability.

    [start, end) are the `step` bases around the middle of a window, which the window's score stands for; so the first and last 250 - step / 2
    bases of a region have none. Windows that cannot be scored (gaps) are left out. Sorted if the regions are. Memory: a megabase.
    """
    if not 1 <= step <= WINDOW:
        raise ValueError(f"STEP={step}: choose 1 to {WINDOW} bases; a longer step would leave bases unread")
    for chrom, start, end in regions:
        for first in range(start, end - WINDOW + 1, PIECE // step * step):
            codes = fetch(genome, chrom, first, min(end, first + PIECE // step * step - step + WINDOW))
            offsets = np.arange(0, len(codes) - WINDOW + 1, step)
            p = scorer.probabilities([codes[o:o + WINDOW] for o in offsets])
            middle = first + offsets + WINDOW // 2 - step // 2
            table = pd.DataFrame({"chrom": chrom, "start": middle, "end": middle + step, "probability": p})
            yield table[table.probability.notna()].reset_index(drop=True)


def write_tracks(tables: Iterable[pd.DataFrame], stem: str | Path, genome: ReferenceGenome, made_by: str) -> dict[str, Path]:
    """Write `<stem>.bedgraph` and `<stem>.bw` (bigWig) while the tables of `scan` come, and `<stem>.json` that says what made them.

    Contigs must come in the order of the genome's file. All three take their names when they are complete.
    """
    paths = {kind: Path(f"{stem}.{kind}") for kind in ("bedgraph", "bw", "json")}
    with ExitStack() as stack:
        bedgraph, bigwig, sidecar = (stack.enter_context(replacing(path)) for path in paths.values())
        text = stack.enter_context(open(bedgraph, "w", encoding="utf-8"))
        track = stack.enter_context(pyBigWig.open(str(bigwig), "w"))
        track.addHeader(list(zip(genome.references, genome.lengths)))
        text.write(f"# {made_by}\n")
        for table in tables:
            if len(table):
                track.addEntries(table.chrom.tolist(), table.start.tolist(), ends=table.end.tolist(), values=table.probability.tolist())
                table.to_csv(text, sep="\t", header=False, index=False, float_format="%.4f", lineterminator="\n")
        sidecar.write_text(made_by + "\n")
    return paths


def call_peaks(track: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Runs of neighbouring bins of a `scan` with a probability of at least `threshold`: columns chrom, start, end, probability.

    A run goes from the first window's bin to the last one's; `probability` is its highest.
    """
    high = track[track.probability >= threshold]
    run = ((high.start > high.end.shift()) | (high.chrom != high.chrom.shift())).cumsum()
    peaks = high.groupby(run).agg(chrom=("chrom", "first"), start=("start", "first"), end=("end", "last"), probability=("probability", "max"))
    return peaks.reset_index(drop=True)


def write_peaks(peaks: pd.DataFrame, path: str | Path, made_by: str) -> Path:
    """Write the calls as BED, named `peak_1` and so on, scores 1000 times the probability; `made_by` heads it as a comment."""
    score = (1000 * peaks.probability).round().astype(int)
    names = [f"peak_{i + 1}" for i in range(len(peaks))]
    with replacing(Path(path)) as temporary:
        rows = peaks[["chrom", "start", "end"]].assign(name=names, score=score, strand=".").to_csv(
            sep="\t", header=False, index=False, lineterminator="\n")
        temporary.write_text(f"# {made_by}\n{rows}", encoding="utf-8")
    return Path(path)


def operating_points(labels, probabilities, thresholds: Sequence[float] = THRESHOLDS) -> pd.DataFrame:
    """Columns threshold, recall and false_positive_rate, on labelled sequences: `labels` (n,) 0 and 1, `probabilities` (n,)."""
    labels, called = np.asarray(labels, bool), np.asarray(probabilities)[:, None] >= np.asarray(thresholds)
    return pd.DataFrame({"threshold": thresholds, "recall": called[labels].mean(0), "false_positive_rate": called[~labels].mean(0)})


def on_a_genome(points: pd.DataFrame, track: pd.DataFrame, prevalence: float) -> pd.DataFrame:
    """What calls at each threshold mean on a genome: `operating_points` of labelled sequences that the model never saw, and a `scan`.

    `prevalence` (pi): the share of windows that are enhancers, an assumption. Added columns: precision by the labelled negatives,
    pi R / (pi R + (1 - pi) F) (Bayes); share_called, of the scanned windows; precision_at_most, pi R / share_called, what that
    share leaves room for (NaN where nothing is called); calls_per_megabase, runs of windows by the bases scanned.
    """
    true_calls = prevalence * points.recall
    share = np.array([(track.probability >= threshold).mean() for threshold in points.threshold])
    calls = np.array([len(call_peaks(track, threshold)) for threshold in points.threshold])
    megabases = (track.end - track.start).sum() / 1e6
    return points.assign(precision=true_calls / (true_calls + (1 - prevalence) * points.false_positive_rate), share_called=share,
                         precision_at_most=(true_calls / np.where(share > 0, share, np.nan)).clip(upper=1), calls_per_megabase=calls / megabases)
