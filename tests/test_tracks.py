"""Windows slid along a genome: tracks, calls, and what calls are worth."""

import json
from types import SimpleNamespace

import bbi
import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import random_sequences
from test_bad_input import full_disk
from tiny import tiny_scorer

from genomic_ulmfit import tracks
from genomic_ulmfit.bigwig import bigwig_from_bedgraph
from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.lookup import open_fasta
from genomic_ulmfit.tracks import (
    call_peaks,
    calls_on_genome,
    operating_points,
    parse_region,
    read_track,
    regions_of,
    scan,
    scan_region,
    wilson_interval,
    write_peaks,
    write_tracks,
)


@pytest.fixture(scope="module")
def scorer():
    return tiny_scorer()


@pytest.fixture(scope="module")
def contigs():
    first, second, short = random_sequences(3, 2300, 4)
    return {"chr2": first[:900] + 700 * "N" + first[900:], "chr10": second, "tiny": short[:300]}


@pytest.fixture(scope="module")
def genome_path(contigs, tmp_path_factory):
    path = tmp_path_factory.mktemp("g") / "g.fa"
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in contigs.items()))
    return path


@pytest.fixture(scope="module")
def genome(genome_path):
    return open_fasta(genome_path)


def whole(genome):
    return [parse_region(name, genome) for name in genome.references]


@pytest.mark.parametrize("step, piece", [(100, 1 << 20), (100, 1000), (70, 700), (500, 500)])
def test_a_scan_scores_every_window_whatever_is_read_at_once(
    scorer, contigs, genome, step, piece, monkeypatch
):
    monkeypatch.setattr(tracks, "PIECE", piece)
    found = pd.concat(scan(scorer, genome, whole(genome), step), ignore_index=True)
    expected = []
    for name, sequence in contigs.items():
        for start in range(0, len(sequence) - 499, step):
            p = scorer.probabilities([encode_bases(sequence[start : start + 500])])[0]
            if sequence[start : start + 500].count("N") <= 250:
                expected.append((name, start + 250 - step // 2, start + 250 - step // 2 + step, p))
    pd.testing.assert_frame_equal(
        found, pd.DataFrame(expected, columns=["chrom", "start", "end", "probability"]), rtol=1e-5
    )


@pytest.mark.parametrize("step", [0, 501])
def test_a_step_that_leaves_bases_unread_is_refused(scorer, genome, step):
    with pytest.raises(ValueError, match=f"STEP={step}: choose 1 to 500"):
        next(scan(scorer, genome, whole(genome), step))


@pytest.mark.parametrize(
    "region, expected",
    [
        ("chr10", ("chr10", 0, 2300)),
        ("chr10:1-2300", ("chr10", 0, 2300)),
        ("chr2:1,001-2,000", ("chr2", 1000, 2000)),
        ("tiny:7-7", ("tiny", 6, 7)),
    ],
)
def test_regions_are_written_as_browsers_write_them(genome, region, expected):
    assert parse_region(region, genome) == expected


@pytest.mark.parametrize(
    "region, message",
    [
        ("chr3", "use contig:first-last"),
        ("chr10:0-5", "use contig"),
        ("chr10:5", "use contig"),
        ("chr10:a-b", "use contig"),
        ("10:1-5", 'it is called "chr10" there'),
        ("chr10:9-5", "is no interval"),
        ("chr10:1-2301", "is no interval of a contig of 2,300 bases"),
    ],
)
def test_a_region_that_is_not_there_is_refused(genome, region, message):
    with pytest.raises(ValueError, match=message):
        parse_region(region, genome)


KINDS = ("bedgraph", "bw", "peaks.bed", "json")


def paths_in(folder):
    return {kind: folder / f"track.{kind}" for kind in KINDS}


def test_other_programs_read_the_tracks(scorer, genome, genome_path, tmp_path):
    written = scan_region(scorer, genome_path, write_to=tmp_path / "track", threshold=0.4)
    expected = pd.concat(scan(scorer, genome, sorted(whole(genome)), 100), ignore_index=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "track.bedgraph",
        "track.bw",
        "track.json",
        "track.peaks.bed",
    ]
    facts = json.loads(written.paths["json"].read_text())
    assert facts["step"] == 100 and facts["inputs"]["genome"]["bytes"] > 4000 and written.n == len(expected)
    lines = written.paths["bedgraph"].read_text().splitlines()
    assert lines[0].startswith("# {") and lines[1].startswith("track type=bedGraph ")
    pd.testing.assert_frame_equal(read_track(written), expected, atol=1e-6)
    with bbi.open(str(written.paths["bw"])) as bigwig:  # UCSC's own code
        assert bigwig.chromsizes == {"chr10": 2300, "chr2": 3000}  # "tiny" has no room for a window
        found = pd.concat(
            [bigwig.fetch_intervals(c, 0, n) for c, n in bigwig.chromsizes.items()], ignore_index=True
        )
    found.columns = expected.columns
    pd.testing.assert_frame_equal(found, expected, atol=1e-6, check_dtype=False)
    with open(written.paths["peaks.bed"]) as file:
        bed = [(b.contig, b.start, b.end) for b in pysam.tabix_file_iterator(file, pysam.asBed())]
    assert (
        bed == list(call_peaks(expected, 0.4)[["chrom", "start", "end"]].itertuples(index=False, name=None))
        and bed
    )


def test_ucsc_programs_find_every_one_of_many_contigs(tmp_path):
    """A bigWig's index of contigs is a tree that is searched by name; this many take several levels of it."""
    names = [f"contig_{i}" for i in range(3_000)]
    table = pd.DataFrame({"chrom": sorted(names), "start": 100, "end": 200, "probability": 0.5})
    write_tracks([table], paths_in(tmp_path), dict.fromkeys(names, 500), "made", 0.9)
    with bbi.open(str(tmp_path / "track.bw")) as bigwig:
        assert len(bigwig.chromsizes) == len(names)
        assert all(len(bigwig.fetch_intervals(name, 0, 500)) == 1 for name in names[::9])


def test_regions_come_in_the_order_of_their_names_whatever_a_region_is_called(tmp_path):
    path = tmp_path / "g.fa"
    path.write_text("".join(f">{name}\n{'ACGT' * 200}\n" for name in ("chr2", "1", "chr10", "Chr1")))
    assert [name for name, _, _ in regions_of(None, open_fasta(path))] == ["1", "Chr1", "chr10", "chr2"]
    assert regions_of(1, open_fasta(path)) == [("1", 0, 800)] and regions_of("1:1-600", open_fasta(path)) == [
        ("1", 0, 600)
    ]
    with pytest.raises(ValueError, match="REGION='1:1-400' has no 500 bases in a row"):
        regions_of("1:1-400", open_fasta(path))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"region": 7}, "REGION='7': use contig:first-last"),
        ({"region": "chr2:1-400"}, "has no 500 bases"),
        ({"step": 0}, "STEP=0: choose"),
        ({"write_to": "g"}, "would replace the input|not written by this project"),
    ],
)
def test_a_scan_that_cannot_end_well_does_not_begin(
    scorer, genome_path, tmp_path, monkeypatch, changes, message
):
    path = tmp_path / "g.bw"
    path.write_text("a file of the user")
    if "write_to" in changes:
        changes = {"write_to": tmp_path / "g"}
    monkeypatch.setattr(type(scorer), "probabilities", None)
    with pytest.raises(ValueError, match=message):
        scan_region(scorer, genome_path, **{"write_to": tmp_path / "new", **changes})
    assert [p.name for p in tmp_path.iterdir()] == ["g.bw"] and path.read_text() == "a file of the user"


def test_a_disk_without_room_is_told_before_the_scan(scorer, genome_path, tmp_path, monkeypatch):
    monkeypatch.setattr(tracks.shutil, "disk_usage", lambda path: SimpleNamespace(free=3000))
    monkeypatch.setattr(type(scorer), "probabilities", None)
    with pytest.raises(OSError, match="only 0 MB are free. Nothing was written"):
        scan_region(scorer, genome_path, write_to=tmp_path / "new/track")
    assert not list(tmp_path.iterdir())


def long_track():
    rng, starts = np.random.default_rng(0), np.arange(0, 20_000 * 100, 100)
    return pd.DataFrame(
        {"chrom": "c", "start": starts, "end": starts + 100, "probability": rng.random(len(starts))}
    )


def test_a_disk_that_fills_up_leaves_no_track(tmp_path):
    table = long_track()
    with pytest.raises(OSError, match="too large"), full_disk(3_000):
        write_tracks([table], paths_in(tmp_path), {"c": 2_000_000}, "made", 0.9)
    assert not list(tmp_path.iterdir())
    write_tracks([table], paths_in(tmp_path), {"c": 2_000_000}, "made", 0.9)
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("size", [100, 20_000, 200_000])
def test_a_disk_that_fills_up_within_the_bigwig_is_an_error_and_nothing_is_left(tmp_path, size):
    long_track().to_csv(tmp_path / "x.bedgraph", sep="\t", header=False, index=False)
    with pytest.raises(OSError, match="bigWig file could not be written"), full_disk(size):
        bigwig_from_bedgraph(tmp_path / "x.bedgraph", {"c": 2_000_000}, tmp_path / "x.bw")
    assert [path.name for path in tmp_path.iterdir()] == ["x.bedgraph"]
    bigwig_from_bedgraph(tmp_path / "x.bedgraph", {"c": 2_000_000}, tmp_path / "x.bw")
    assert (tmp_path / "x.bw").stat().st_size > 200_000


def test_an_error_on_the_way_leaves_no_track(tmp_path):
    def tables():
        yield pd.DataFrame({"chrom": ["chr2"], "start": [0], "end": [100], "probability": [0.5]})
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        write_tracks(tables(), paths_in(tmp_path), {"chr2": 500}, "m", 0.9)
    assert not list(tmp_path.iterdir())


def test_a_region_of_unknown_bases_alone_gives_no_track(scorer, tmp_path):
    (tmp_path / "g.fa").write_text(">gap\n" + "N" * 900 + "\n")
    with pytest.raises(ValueError, match="nothing to score"):
        scan_region(scorer, tmp_path / "g.fa", write_to=tmp_path / "d/track")
    assert not list((tmp_path / "d").iterdir())


@given(
    st.lists(st.tuples(st.integers(0, 1), st.booleans(), st.sampled_from([0.1, 0.5, 0.9, 0.95])), max_size=40)
)
def test_calls_are_runs_of_high_bins(bins):
    rows, place = [], {0: 0, 1: 0}
    for chrom, gap, p in sorted(bins, key=lambda b: b[0]):
        place[chrom] += 30 if gap else 0
        rows.append((f"c{chrom}", place[chrom], place[chrom] + 10, p))
        place[chrom] += 10
    track = pd.DataFrame(rows, columns=["chrom", "start", "end", "probability"]).astype(
        {"probability": float}
    )
    expected = []
    for chrom, start, end, p in rows:
        if p >= 0.9 and expected and expected[-1][0] == chrom and expected[-1][2] == start:
            expected[-1] = (chrom, expected[-1][1], end, max(p, expected[-1][3]))
        elif p >= 0.9:
            expected.append((chrom, start, end, p))
    assert [tuple(row) for row in call_peaks(track, 0.9).itertuples(index=False)] == expected


def test_calls_are_written_as_bed(tmp_path):
    peaks, path = (
        pd.DataFrame({"chrom": ["c", "c"], "start": [5, 50], "end": [9, 60], "probability": [0.914, 0.9999]}),
        tmp_path / "p.bed",
    )
    write_peaks(peaks, path, "made")
    with open(path) as file:
        assert [
            (b.contig, b.start, b.end, b.name, float(b.score))
            for b in pysam.tabix_file_iterator(file, pysam.asBed())
        ] == [("c", 5, 9, "peak_1", 914), ("c", 50, 60, "peak_2", 1000)]
    write_peaks(peaks[:0], path, "made")
    assert path.read_text() == "# made\n"


def test_what_calls_are_worth_is_counted_as_one_would_by_hand():
    labels, p = np.array([1] * 10 + [0] * 10), np.r_[np.linspace(0.05, 0.95, 10), np.linspace(0.05, 0.5, 10)]
    points = operating_points(labels, p, [0.4, 0.6])
    assert points.recall.tolist() == [0.6, 0.4] and points.false_positive_rate.tolist() == [0.3, 0]
    assert points.enhancers_called.tolist() == [6, 4] and points.others_called.tolist() == [3, 0]
    track = pd.DataFrame(
        {
            "chrom": "c",
            "start": range(0, 1000, 10),
            "end": range(10, 1010, 10),
            "probability": [0.5, 0.1] * 50,
        }
    )
    worth = calls_on_genome(points, track, 0.1)
    np.testing.assert_allclose(worth.precision, [0.06 / (0.06 + 0.27), 1])
    assert (
        worth.share_called.tolist() == [0.5, 0]
        and worth.precision_ceiling[0] == 0.12
        and np.isnan(worth.precision_ceiling[1])
    )
    assert worth.calls_per_megabase.tolist() == [50 / 1e-3, 0]
    # Wilson by hand: centre (s + z^2 / 2) / (n + z^2), half z / (n + z^2) sqrt(s (n - s) / n + z^2 / 4)
    z = 1.959964
    half = z / (10 + z**2) * np.sqrt(4 * 6 / 10 + z**2 / 4)
    np.testing.assert_allclose(
        wilson_interval(4, 10), (4 + z**2 / 2) / (10 + z**2) + np.array([-half, half]), rtol=1e-5
    )
    lowest = 0.1 * wilson_interval(4, 10)[0], 0.9 * wilson_interval(0, 10)[1]
    np.testing.assert_allclose(worth.precision_low[1], lowest[0] / sum(lowest))
    assert worth.precision_high[1] == 1 and wilson_interval(0, 0) == (0, 1)
