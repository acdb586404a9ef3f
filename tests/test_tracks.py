"""Windows slid along a genome: tracks, calls, and what calls are worth."""
import json

import numpy as np
import pandas as pd
import pybigtools
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracks
from genome import encode_bases
from lookup import open_fasta
from naive import random_sequences
from tiny import tiny_scorer
from tracks import call_peaks, on_a_genome, operating_points, parse_region, scan, write_peaks, write_tracks


@pytest.fixture(scope="module")
def scorer():
    return tiny_scorer()


@pytest.fixture(scope="module")
def contigs():
    first, second, short = random_sequences(3, 2300, 4)
    return {"chr2": first[:900] + 700 * "N" + first[900:], "chr10": second, "tiny": short[:300]}


@pytest.fixture(scope="module")
def genome(contigs, tmp_path_factory):
    path = tmp_path_factory.mktemp("g") / "g.fa"
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in contigs.items()))
    return open_fasta(path)


def whole(genome):
    return [parse_region(name, genome) for name in genome.references]


@pytest.mark.parametrize("step, piece", [(100, 1 << 20), (100, 1000), (70, 700), (500, 500)])
def test_a_scan_scores_every_window_whatever_is_read_at_once(scorer, contigs, genome, step, piece, monkeypatch):
    monkeypatch.setattr(tracks, "PIECE", piece)
    found = pd.concat(scan(scorer, genome, whole(genome), step), ignore_index=True)
    expected = []
    for name, sequence in contigs.items():
        for start in range(0, len(sequence) - 499, step):
            p = scorer.probabilities([encode_bases(sequence[start:start + 500])])[0]
            if sequence[start:start + 500].count("N") <= 250:
                expected.append((name, start + 250 - step // 2, start + 250 - step // 2 + step, p))
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected, columns=["chrom", "start", "end", "probability"]), rtol=1e-5)


@pytest.mark.parametrize("step", [0, 501])
def test_a_step_that_leaves_bases_unread_is_refused(scorer, genome, step):
    with pytest.raises(ValueError, match=f"STEP={step}: choose 1 to 500"):
        next(scan(scorer, genome, whole(genome), step))


@pytest.mark.parametrize("region, expected", [
    ("chr10", ("chr10", 0, 2300)), ("chr10:1-2300", ("chr10", 0, 2300)), ("chr2:1,001-2,000", ("chr2", 1000, 2000)), ("tiny:7-7", ("tiny", 6, 7))])
def test_regions_are_written_as_browsers_write_them(genome, region, expected):
    assert parse_region(region, genome) == expected


@pytest.mark.parametrize("region, message", [
    ("chr3", "use contig:first-last"), ("chr10:0-5", "use contig"), ("chr10:5", "use contig"), ("chr10:a-b", "use contig"),
    ("10:1-5", 'it is called "chr10" there'), ("chr10:9-5", "is no interval"), ("chr10:1-2301", "is no interval of a contig of 2,300 bases")])
def test_a_region_that_is_not_there_is_refused(genome, region, message):
    with pytest.raises(ValueError, match=message):
        parse_region(region, genome)


def test_other_programs_read_the_tracks(scorer, genome, tmp_path):
    table = pd.concat(scan(scorer, genome, whole(genome), 100), ignore_index=True)
    paths = write_tracks(scan(scorer, genome, whole(genome), 100), tmp_path / "track", genome, scorer.made_by(step=100))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["track.bedgraph", "track.bw", "track.json"]
    assert json.loads(paths["json"].read_text())["step"] == 100
    bedgraph = pd.read_csv(paths["bedgraph"], sep="\t", comment="#", names=list(table.columns))
    pd.testing.assert_frame_equal(bedgraph, table, atol=1e-4)
    with pybigtools.open(str(paths["bw"])) as bigwig:
        assert bigwig.chroms() == dict(zip(genome.references, genome.lengths))
        found = [(c, *record) for c in ("chr2", "chr10") for record in bigwig.records(c)]
    pd.testing.assert_frame_equal(pd.DataFrame(found, columns=table.columns), table, atol=1e-6)


def test_an_error_on_the_way_leaves_no_track(genome, tmp_path):
    def tables():
        yield pd.DataFrame({"chrom": ["chr2"], "start": [0], "end": [100], "probability": [.5]})
        raise RuntimeError("stopped")
    with pytest.raises(RuntimeError):
        write_tracks(tables(), tmp_path / "track", genome, "m")
    assert not list(tmp_path.iterdir())


@given(st.lists(st.tuples(st.integers(0, 1), st.booleans(), st.sampled_from([.1, .5, .9, .95])), max_size=40))
def test_calls_are_runs_of_high_bins(bins):
    rows, place = [], {0: 0, 1: 0}
    for chrom, gap, p in sorted(bins, key=lambda b: b[0]):
        place[chrom] += 30 if gap else 0
        rows.append((f"c{chrom}", place[chrom], place[chrom] + 10, p))
        place[chrom] += 10
    track = pd.DataFrame(rows, columns=["chrom", "start", "end", "probability"]).astype({"probability": float})
    expected = []
    for chrom, start, end, p in rows:
        if p >= .9 and expected and expected[-1][0] == chrom and expected[-1][2] == start:
            expected[-1] = (chrom, expected[-1][1], end, max(p, expected[-1][3]))
        elif p >= .9:
            expected.append((chrom, start, end, p))
    assert [tuple(row) for row in call_peaks(track, .9).itertuples(index=False)] == expected


def test_calls_are_written_as_bed(tmp_path):
    peaks = pd.DataFrame({"chrom": ["c", "c"], "start": [5, 50], "end": [9, 60], "probability": [.914, .9999]})
    path = write_peaks(peaks, tmp_path / "p.bed", "made")
    with open(path) as file:
        assert [(b.contig, b.start, b.end, b.name, float(b.score)) for b in pysam.tabix_file_iterator(file, pysam.asBed())] == [
            ("c", 5, 9, "peak_1", 914), ("c", 50, 60, "peak_2", 1000)]
    assert write_peaks(peaks[:0], tmp_path / "none.bed", "made").read_text() == "# made\n"


def test_what_calls_are_worth_is_counted_as_one_would_by_hand():
    labels, p = np.array([1] * 10 + [0] * 10), np.r_[np.linspace(.05, .95, 10), np.linspace(.05, .5, 10)]
    points = operating_points(labels, p, [.4, .6])
    assert points.recall.tolist() == [.6, .4] and points.false_positive_rate.tolist() == [.3, 0]
    track = pd.DataFrame({"chrom": "c", "start": range(0, 1000, 10), "end": range(10, 1010, 10), "probability": [.5, .1] * 50})
    worth = on_a_genome(points, track, .1)
    np.testing.assert_allclose(worth.precision, [.06 / (.06 + .27), 1])
    assert worth.share_called.tolist() == [.5, 0] and worth.precision_at_most[0] == .12 and np.isnan(worth.precision_at_most[1])
    assert worth.calls_per_megabase.tolist() == [50 / 1e-3, 0]
