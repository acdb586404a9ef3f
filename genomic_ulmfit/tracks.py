"""Scores along a genome: windows slid over a region, to bedGraph, bigWig and calls as BED."""

import errno
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from genomic_ulmfit.allowed import check
from genomic_ulmfit.bigwig import bigwig_from_bedgraph
from genomic_ulmfit.files import replacing_all
from genomic_ulmfit.genome import WINDOW
from genomic_ulmfit.lookup import ReferenceGenome, contigs_of, fetch, open_fasta
from genomic_ulmfit.profiles import ROOT, project_path
from genomic_ulmfit.scoring import Scorer, Written, output_of, progress, write_bed

__all__ = [
    "call_peaks",
    "calls_on_genome",
    "operating_points",
    "parse_region",
    "read_track",
    "regions_of",
    "scan",
    "scan_region",
    "wilson_interval",
    "write_peaks",
    "write_tracks",
]

PIECE = 1 << 20  # bases of a contig in memory at a time
BYTES_A_WINDOW = 80  # on disk: a line of bedGraph, and its share of the bigWig with its zoom levels
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)


def parse_region(region: str | int, genome: ReferenceGenome) -> tuple[str, int, int]:
    """`chr7:1,000-2,000` or `chr7` -> (contig, start, end), half-open from 0.

    The text counts bases from 1 and includes both ends, as browsers do.

    Raises ValueError for a contig or an interval that the genome lacks.
    """
    region = str(region)
    if region in genome.references:
        return region, 0, genome.get_reference_length(region)
    chrom, _, interval = region.rpartition(":")
    first, _, last = interval.replace(",", "").partition("-")
    if not (chrom and first.isdecimal() and last.isdecimal() and int(first) >= 1):
        raise ValueError(
            f"REGION={region!r}: use contig:first-last, as chr7:1,000-2,000, or the name of a contig: "
            f"{contigs_of(genome)}"
        )
    fetch(genome, chrom, int(first) - 1, int(last))
    return chrom, int(first) - 1, int(last)


def regions_of(region: str | int | None, genome: ReferenceGenome) -> list[tuple[str, int, int]]:
    """What is scanned, as (contig, start, end): one region (see `parse_region`), or every contig.

    Names are compared byte by byte, as bigWig and UCSC's programs have it. Contigs without room for a window
    are left out. Raises ValueError when nothing is left, and as `parse_region`.
    """
    regions = [parse_region(one, genome) for one in (genome.references if region is None else [region])]
    regions = sorted(one for one in regions if one[2] - one[1] >= WINDOW)
    if not regions:
        where = "the genome" if region is None else f"REGION={region!r}"
        raise ValueError(f"nothing to scan: {where} has no {WINDOW} bases in a row")
    return regions


def scan(
    scorer: Scorer, genome: ReferenceGenome, regions: Iterable[tuple[str, int, int]], step: int
) -> Iterator[pd.DataFrame]:
    """Slide a window of 500 bases over (contig, start, end) by `step` bases.

    Yields tables with columns chrom, start, end, probability.

    [start, end) are the `step` bases around the middle of a window, which the window's score stands for; so
    the first and last 250 - step / 2 bases of a region have none. Windows that cannot be scored (gaps) are
    left out. Sorted if the regions are. Memory: a megabase.
    """
    check("STEP", step)
    for chrom, start, end in regions:
        for first in range(start, end - WINDOW + 1, PIECE // step * step):
            codes = fetch(genome, chrom, first, min(end, first + PIECE // step * step - step + WINDOW))
            offsets = np.arange(0, len(codes) - WINDOW + 1, step)
            p = scorer.probabilities([codes[o : o + WINDOW] for o in offsets])
            middle = first + offsets + WINDOW // 2 - step // 2
            table = pd.DataFrame({"chrom": chrom, "start": middle, "end": middle + step, "probability": p})
            yield table[table.probability.notna()].reset_index(drop=True)


def scan_region(
    scorer: Scorer,
    genome: str | Path,
    region: str | int | None = None,
    step: int = 100,
    threshold: float = 0.9,
    write_to: str | Path | None = None,
    folder: str | Path = ROOT / "artifacts" / "scans",
) -> Written:
    """Scan a region (None: the whole genome) into `.bedgraph`, `.bw`, `.peaks.bed`, `.json`; see `scan`.

    Region, names of the results and room on the disk are checked before the first window is scored.
    `threshold` is that of the calls. `write_to` is the path of the results without their ending; without it
    they lie in `folder`, named as `scoring.output_of` says. The track is read back by `read_track`. Raises
    FileNotFoundError; OSError for a disk that is too full; ValueError as `regions_of` and
    `scoring.output_of`, and when no window can be scored.
    """
    check("STEP", step)
    path, region = project_path(genome), None if region is None else str(region)
    output = output_of(
        scorer,
        {"genome": path},
        ("bedgraph", "bw", "peaks.bed", "json"),
        write_to,
        folder,
        region=region,
        step=step,
        threshold=threshold,
    )
    with open_fasta(path) as bases:
        regions = regions_of(region, bases)
        windows = sum((end - start - WINDOW) // step + 1 for _, start, end in regions)
        _check_room(output.paths["bedgraph"].parent, windows * BYTES_A_WINDOW)
        total = sum(-(-(end - start - WINDOW + 1) // (PIECE // step * step)) for _, start, end in regions)
        tables = progress(scan(scorer, bases, regions, step), total, "megabases")
        lengths = {name: bases.get_reference_length(name) for name, _, _ in regions}
        n = write_tracks(tables, output.paths, lengths, output.made_by, threshold)
    return Written(output.paths, n, unscored=windows - n, absent="unknown bases: no value")


def _check_room(folder: Path, needed: int) -> None:
    """OSError when a folder's disk has fewer bytes free than are needed."""
    there = next(one for one in (folder, *folder.resolve().parents) if one.exists())
    if (free := shutil.disk_usage(there).free) < needed:
        raise OSError(
            errno.ENOSPC,
            f"the tracks take up to {needed / 1e6:,.0f} MB, but only {free / 1e6:,.0f} MB are free. "
            "Nothing was written: name a WRITE_TO on another disk, or a larger STEP",
            str(folder),
        )


def write_tracks(
    tables: Iterable[pd.DataFrame],
    paths: dict[str, Path],
    lengths: dict[str, int],
    made_by: str,
    threshold: float,
) -> int:
    """Write the files `bedgraph`, `bw`, `peaks.bed` and `json` of `paths` from the tables of `scan`.

    Contigs come in the order of their names; `lengths` says how long each is. All files take their names when
    they are complete. Returns the number of windows. ValueError when there is none.
    """
    n, high = 0, []
    kinds = ("bedgraph", "bw", "peaks.bed", "json")
    with replacing_all({kind: paths[kind] for kind in kinds}) as temporaries:
        bedgraph, bigwig, peaks, sidecar = (temporaries[kind] for kind in kinds)
        with open(bedgraph, "w", encoding="utf-8") as text:
            text.write(f'# {made_by}\ntrack type=bedGraph name="{paths["bedgraph"].stem}" viewLimits=0:1\n')
            for table in tables:
                n += len(table)
                high.append(table[table.probability >= threshold])
                table.to_csv(
                    text, sep="\t", header=False, index=False, float_format="%.6g", lineterminator="\n"
                )
        if not n:
            raise ValueError("nothing to score: more than half of every window is unknown bases")
        bigwig_from_bedgraph(bedgraph, lengths, bigwig)
        write_peaks(call_peaks(pd.concat(high, ignore_index=True), threshold), peaks, made_by)
        sidecar.write_text(made_by + "\n", encoding="utf-8")
    return n


def read_track(written: Written) -> pd.DataFrame:
    """The bedGraph of a scan: columns chrom, start, end, probability."""
    columns = {"chrom": str, "start": np.int64, "end": np.int64, "probability": float}
    return pd.read_csv(
        written.paths["bedgraph"],
        sep="\t",
        skiprows=2,
        names=list(columns),
        dtype=columns,
        keep_default_na=False,
    )


def call_peaks(track: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Runs of neighbouring bins of a `scan` with a probability of at least `threshold`.

    Columns: chrom, start, end, probability.

    A run goes from the first window's bin to the last one's; `probability` is its highest.
    """
    high = track[track.probability >= threshold]
    run = ((high.start > high.end.shift()) | (high.chrom != high.chrom.shift())).cumsum()
    peaks = high.groupby(run).agg(
        chrom=("chrom", "first"),
        start=("start", "first"),
        end=("end", "last"),
        probability=("probability", "max"),
    )
    return peaks.reset_index(drop=True)


def write_peaks(peaks: pd.DataFrame, path: str | Path, made_by: str) -> None:
    """Write the calls as BED, named `peak_1` and so on; `made_by` heads it as a comment."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"# {made_by}\n")
        write_bed(file, peaks.assign(name=[f"peak_{i + 1}" for i in range(len(peaks))], strand="."))


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """95 % interval of a share, by Wilson 1927; (0, 1) for none of none."""
    return tuple(binomtest(int(successes), int(n)).proportion_ci(method="wilson")) if n else (0.0, 1.0)


def operating_points(labels, probabilities, thresholds: Sequence[float] = THRESHOLDS) -> pd.DataFrame:
    """What a model calls at each threshold on labelled sequences: `labels` and `probabilities`, (n,).

    Columns threshold; enhancers and others, the number of sequences of each label; enhancers_called and
    others_called; recall and false_positive_rate.
    """
    labels, called = np.asarray(labels, bool), np.asarray(probabilities)[:, None] >= np.asarray(thresholds)
    counts = {
        "enhancers": labels.sum(),
        "enhancers_called": called[labels].sum(0),
        "others": (~labels).sum(),
        "others_called": called[~labels].sum(0),
    }
    shares = {"recall": called[labels].mean(0), "false_positive_rate": called[~labels].mean(0)}
    return pd.DataFrame({"threshold": thresholds} | counts | shares)


def calls_on_genome(points: pd.DataFrame, track: pd.DataFrame, prevalence: float) -> pd.DataFrame:
    """What calls at each threshold mean on a genome, from labelled sequences and a `scan`.

    `points`: `operating_points` of labelled sequences that the model never saw.

    `prevalence` (pi): the share of windows that are enhancers, an assumption. Added columns: precision by the
    labelled negatives, pi R / (pi R + (1 - pi) F) (Bayes), and precision_low and _high, the same with the
    ends of the 95 % Wilson intervals of R and F that make it lowest and highest; share_called, of the scanned
    windows; precision_ceiling, pi R / share_called, the highest precision that this share allows (NaN where
    nothing is called); calls_per_megabase, runs of called windows per megabase scanned.
    """
    recall = np.array([wilson_interval(*pair) for pair in zip(points.enhancers_called, points.enhancers)])
    false = np.array([wilson_interval(*pair) for pair in zip(points.others_called, points.others)])
    share = np.array([(track.probability >= threshold).mean() for threshold in points.threshold])
    calls = np.array([len(call_peaks(track, threshold)) for threshold in points.threshold])
    return points.assign(
        precision=_bayes(points.recall, points.false_positive_rate, prevalence),
        precision_low=_bayes(recall[:, 0], false[:, 1], prevalence),
        precision_high=_bayes(recall[:, 1], false[:, 0], prevalence),
        share_called=share,
        precision_ceiling=(prevalence * points.recall / np.where(share > 0, share, np.nan)).clip(upper=1),
        calls_per_megabase=calls / ((track.end - track.start).sum() / 1e6),
    )


def _bayes(recall, false_positive_rate, prevalence: float):
    true_calls = prevalence * np.asarray(recall)
    calls = true_calls + (1 - prevalence) * np.asarray(false_positive_rate)
    return true_calls / np.where(calls > 0, calls, np.nan)
