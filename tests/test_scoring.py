"""DNA of one's own to scores: windows, readers, writers."""

import gzip
import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import random_sequences, text
from tiny import described, tiny_scorer

from genomic_ulmfit import scoring
from genomic_ulmfit.familiarity import INPUT_COLUMNS
from genomic_ulmfit.genome import encode_bases, reverse_complement
from genomic_ulmfit.lookup import open_fasta
from genomic_ulmfit.saved_models import add_facts, save_model
from genomic_ulmfit.scoring import (
    SCORE_COLUMNS,
    Query,
    Scorer,
    full_precision,
    output_of,
    read_bed,
    read_queries,
    score_file,
    score_queries,
    windows_of,
    write_scores,
)

SEQUENCES = st.text("ACGTNacgtnRYu", min_size=1, max_size=300)
NAMES = st.text("abcXYZ019_.:|-", min_size=1, max_size=12)


@pytest.fixture(scope="module")
def scorer():
    return tiny_scorer()


def fasta(path, records, width=60, opener=open):
    with opener(path, "wt") as file:
        for name, sequence in records:
            file.write(
                f">{name} described\n"
                + "".join(sequence[i : i + width] + "\n" for i in range(0, len(sequence), width))
            )
    return path


@given(st.integers(1, 5000), st.integers(1, 600), st.data())
def test_windows_cover_every_base_and_end_where_the_sequence_ends(length, size, data):
    step = data.draw(st.integers(1, size))
    starts = windows_of(length, size, step)
    assert starts == sorted(set(starts)) and starts[0] == 0
    assert starts[-1] + size == length or (len(starts) == 1 and length <= size)
    assert max(np.diff(starts), default=0) <= step


@given(st.lists(st.tuples(NAMES, SEQUENCES), min_size=1, max_size=8), st.integers(1, 100), st.booleans())
@settings(max_examples=40, deadline=None)
def test_fasta_is_read_as_it_was_written(tmp_path_factory, records, width, zipped):
    path = tmp_path_factory.mktemp("f") / ("x.fa.gz" if zipped else "x.fa")
    fasta(path, records, width, gzip.open if zipped else open)
    found = [(r.name, text(r.codes), r.chrom, r.start) for r in read_queries(path)]
    assert found == [
        (n, "".join(b if b in "ACGT" else "N" for b in s.upper().replace("U", "T")), n, 0) for n, s in records
    ]


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "no FASTA record in it"),
        (b"ACGT\n", "line 1: not FASTA"),
        (b">a\nACGT\n>b\n", "line 3: record 'b' has no sequence"),
        (b">a\nACGT\n>b\nAC*T\n", r"line 4: '\*' is no nucleotide code"),
        (b"\x1f\x8b\x08broken", "x.fa"),
        (b">a\n\xff\xfe\n", "x.fa"),
    ],
)
def test_what_is_no_fasta_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "x.fa").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(read_queries(tmp_path / "x.fa"))


def test_missing_files_are_named(tmp_path):
    for read in (lambda p: list(read_queries(p)), lambda p: list(read_bed(p, p)), open_fasta):
        with pytest.raises(FileNotFoundError, match="none.fa is not there"):
            read(tmp_path / "none.fa")


@pytest.mark.parametrize("compressed", [False, True])
def test_intervals_are_cut_out_of_the_genome(tmp_path, compressed):
    contigs = dict(zip(["chr1", "chr2"], random_sequences(2, 3000, 5)))
    genome = fasta(tmp_path / "g.fa", contigs.items())
    if compressed:
        pysam.tabix_compress(str(genome), str(tmp_path / "g.fa.gz"))
        genome = tmp_path / "g.fa.gz"
    bed = tmp_path / "x.bed"
    bed.write_text('track name="x"\n# a comment\nchr2\t0\t500\tfirst\t7\t-\n\nchr1\t2500\t3000\n')
    found = [(r.name, text(r.codes), r.chrom, r.start) for r in read_queries(bed, genome)]
    assert found == [
        ("first", contigs["chr2"][:500], "chr2", 0),
        ("chr1:2500-3000", contigs["chr1"][2500:], "chr1", 2500),
    ]


@pytest.mark.parametrize(
    "line, message",
    [
        ("chr1\t5", "line 2: expected contig, start and end"),
        ("chr1\tfive\t9", "line 2: expected"),
        ("chr1\t9\t9", "line 2: chr1:9-9 is no interval"),
        (
            "chr1\t0\t2001",
            r"line 2: chr1 ends at 2,000, but this interval ends at 2,001. "
            r"Is the genome \(g.fa\) the assembly",
        ),
        ("1\t0\t9", 'line 2: no contig "1" in the genome: it is called "chr1" there'),
        ("chrX\t0\t9", 'line 2: no contig "chrX" in the genome: there are chr1'),
    ],
)
def test_an_interval_that_cannot_be_read_is_named_by_its_line(tmp_path, line, message):
    genome = fasta(tmp_path / "g.fa", [("chr1", random_sequences(1, 2000, 0)[0])])
    (tmp_path / "x.bed").write_text(f"chr1\t0\t500\n{line}\n")
    with pytest.raises(ValueError, match=f"x.bed, {message}"):
        list(read_queries(tmp_path / "x.bed", genome))


def test_names_of_records_to_score(tmp_path):
    (tmp_path / "x.fa").write_bytes("\ufeff> é one\r\nACGU\r\n>\r\nacgu\r\n".encode())
    assert [(r.name, r.codes.tolist()) for r in read_queries(tmp_path / "x.fa")] == [
        ("é", [0, 1, 2, 3]),
        ("record_2", [0, 1, 2, 3]),
    ]


def test_bed_lines_of_any_end_on_contigs_of_any_name(tmp_path):
    genome = fasta(
        tmp_path / "g.fa", [("browser_ctg", "ACGT" * 9), ("track1", "CCGT" * 9), ("chré", "GGGT" * 9)]
    )
    bed = tmp_path / "x.bed"
    bed.write_bytes(
        "\ufefftrack name=x\rbrowser_ctg\t0\t3\tone\rtrack1\t1\t4\ttwo\r\nchré\t2\t5\tthrée\n".encode()
    )
    found = [(r.name, text(r.codes)) for r in read_queries(bed, genome)]
    assert found == [("one", "ACG"), ("two", "CGT"), ("thrée", "GTG")]


def test_bed_needs_a_genome_and_takes_any(tmp_path):
    (tmp_path / "x.bed").write_text("chr1\t0\t5\n")
    with pytest.raises(ValueError, match="needs the FASTA file of its genome"):
        read_queries(tmp_path / "x.bed")
    plain_gzip = fasta(tmp_path / "g.fa.gz", [("chr1", "ACGT" * 50)], opener=gzip.open)
    assert [text(r.codes) for r in read_queries(tmp_path / "x.bed", plain_gzip)] == ["ACGTA"]
    (tmp_path / "x.bed").write_text("# nothing\n")
    with pytest.raises(ValueError, match="there is no interval"):
        list(read_queries(tmp_path / "x.bed", fasta(tmp_path / "h.fa", [("chr1", "ACGT")])))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_sequence_and_its_reverse_complement_score_the_same(direction):
    scorer = tiny_scorer(direction=direction)
    sequences = [encode_bases(s) for s in random_sequences(5, 90, 3)]
    other = [reverse_complement(s) for s in sequences]
    np.testing.assert_allclose(scorer.probabilities(sequences), scorer.probabilities(other), rtol=1e-5)
    assert not np.allclose(
        scorer.probabilities(sequences, both_strands=False),
        scorer.probabilities(other, both_strands=False),
        rtol=1e-3,
    )
    with full_precision(scorer.model):
        p = scorer.probabilities(sequences)
    np.testing.assert_allclose(scorer.log_odds(sequences), np.log(p / (1 - p)))


def test_what_is_mostly_unknown_has_no_score(scorer):
    known = encode_bases(random_sequences(1, 100, 1)[0])
    mostly, half, scattered = known.copy(), known.copy(), known.copy()
    mostly[:51], half[:50], scattered[::3] = 4, 4, 4
    assert np.isnan(scorer.probabilities([mostly, half, scattered, known])).tolist() == [
        True,
        False,
        True,
        False,
    ]


def test_a_sequence_shorter_than_the_model_reads_is_refused_by_name(scorer):
    assert scorer.shortest == 5  # of the pattern 11011
    with pytest.raises(ValueError, match="sequence 1 .counted from 0. has 4 bases"):
        scorer.probabilities([np.zeros(5, np.uint8), np.zeros(4, np.uint8)])
    with pytest.raises(ValueError, match="tiny_one: 4 bases are too few"):
        list(score_queries(scorer, [Query("tiny_one", np.zeros(4, np.uint8), "c", 0)]))


def test_long_records_have_the_score_of_their_best_window_in_any_batch(scorer, monkeypatch):
    rng = np.random.default_rng(0)
    records = [
        Query(f"r{i}", rng.integers(0, 4, n).astype(np.uint8), "c", 1000 * i)
        for i, n in enumerate([1240, 60, 500, 501, 3000, 700])
    ]
    records.append(Query("gap", np.full(800, 4, np.uint8), "c", 0))
    expected = []
    for r in records[:-1]:
        starts = windows_of(len(r.codes))
        p = [scorer.probabilities([r.codes[s : s + 500]])[0] for s in starts]
        best = starts[int(np.argmax(p))] + r.start
        end = r.start + len(r.codes)
        expected.append(
            (r.name, "c", r.start, end, ".", len(starts), max(p), np.mean(p), best, min(best + 500, end))
        )
    expected.append(("gap", "c", 0, 800, ".", 3, np.nan, np.nan, -1, -1))
    scored = [name for name in SCORE_COLUMNS if name not in INPUT_COLUMNS]
    for at_once in (1, 4, 2048):
        monkeypatch.setattr(scoring, "AT_ONCE", at_once)
        tables = list(score_queries(scorer, iter(records)))
        assert (len(tables) > 1) == (at_once < 2048)
        pd.testing.assert_frame_equal(
            pd.concat(tables, ignore_index=True)[scored],
            pd.DataFrame(expected, columns=scored),
            rtol=1e-5,
        )


def test_other_programs_read_what_is_written(scorer, tmp_path):
    records = [
        Query(n, encode_bases(s), n, 0)
        for n, s in zip(['a"b#', "a", "NA", "x"], [*random_sequences(3, 520, 2), "N" * 40])
    ]
    made_by = scorer.made_by(input="x.fa")
    paths = {kind: tmp_path / "folder" / f"out.{kind}" for kind in ("tsv", "parquet", "bed")}
    assert write_scores(score_queries(scorer, records), paths, made_by) == 3  # have a score
    assert sorted(p.name for p in (tmp_path / "folder").iterdir()) == ["out.bed", "out.parquet", "out.tsv"]
    facts = json.loads(made_by)
    assert facts["model"] == "tiny" and facts["input"] == "x.fa" and facts["code"]

    table = pq.read_table(paths["parquet"])
    assert table.schema.metadata[b"made_by"].decode() == made_by
    scores = table.to_pandas()
    assert scores.name.tolist() == ['a"b#', "a", "NA", "x"] and scores.probability.isna().tolist() == [
        False
    ] * 3 + [True]
    assert paths["tsv"].read_text().startswith(f"# {made_by}\n")
    tsv = pd.read_csv(
        paths["tsv"],
        sep="\t",
        skiprows=1,
        quoting=3,
        keep_default_na=False,
        na_values={name: "NA" for name, kind in SCORE_COLUMNS.items() if kind == "double"},
    )
    pd.testing.assert_frame_equal(tsv, scores, rtol=1e-5, check_dtype=False)
    with open(paths["bed"]) as file:
        bed = [
            (b.contig, b.start, b.end, b.name, int(b.score))
            for b in pysam.tabix_file_iterator(file, pysam.asBed())
        ]
    expected = (1000 * scores.probability).round().fillna(0).astype(int)
    assert bed == list(zip(scores.name, scores.start, scores.end, scores.name, expected))


@pytest.mark.parametrize("both", [True, False], ids=["both", "one"])
def test_the_input_is_checked_in_the_window_that_the_score_is_of(scorer, tmp_path, both):
    known = described(scorer)
    codes = encode_bases(random_sequences(1, 700, 4, gc=0.35)[0] + "ACGACGT" * 80)
    records = [
        Query("long", codes, "c", 0, "-"),
        Query("same", encode_bases(random_sequences(1, 80, 5, gc=0.35)[0]), "c", 0),
        Query("gap", np.full(80, 4, np.uint8), "c", 0),
    ]
    (table,) = score_queries(known, records, both_strands=both)
    first, last = table.best_start[0], table.best_end[0]
    expected = known.familiarity.check([codes[first:last], records[1].codes])
    pd.testing.assert_frame_equal(table[list(INPUT_COLUMNS)][:2], expected)
    assert table.input.tolist()[1:] == ["as trained", "too few known bases"]
    write_scores([table], {"bed": tmp_path / "x.bed"}, "m")
    lines = [line.split("\t") for line in (tmp_path / "x.bed").read_text().splitlines()[1:]]
    grey = {row[3]: row[8] != "0,0,0" for row in lines}
    assert grey == {"long": table.input[0] != "as trained", "same": False, "gap": True}
    assert all(len(row) == 9 and row[1:3] == row[6:8] for row in lines)


def test_a_summary_counts_what_is_unlike_the_training_dna(scorer, tmp_path):
    records = [("same", random_sequences(1, 80, 5, gc=0.35)[0]), ("long", random_sequences(1, 200, 5)[0])]
    path = fasta(tmp_path / "x.fa", [*records, ("poor", "AT" * 40)])
    known = score_file(path, described(scorer), folder=tmp_path / "a").summary("sequences").splitlines()
    assert "unlike what the model was trained on (column input): 2 (" in known[-1]
    assert "longer than trained: 1" in known[-1] and "unusual GC, unlike genomic DNA: 1" in known[-1]
    unknown = score_file(path, scorer, folder=tmp_path / "b").summary("sequences").splitlines()
    assert unknown[-1].startswith("input not checked: this model does not say")
    alone = score_file(fasta(tmp_path / "y.fa", records[:1]), described(scorer), folder=tmp_path / "c")
    assert alone.notes == []


def test_an_error_on_the_way_leaves_nothing_half_written(scorer, tmp_path):
    records = [Query("a", encode_bases("ACGT" * 30), "a", 0), Query("b", encode_bases("AC"), "b", 0)]
    with pytest.raises(ValueError, match="b: 2 bases are too few"):
        write_scores(
            score_queries(scorer, records),
            {kind: tmp_path / f"out.{kind}" for kind in ("tsv", "parquet", "bed")},
            "m",
        )
    assert not list(tmp_path.iterdir())


def test_a_scorer_is_what_was_saved(scorer, tmp_path):
    save_model(tmp_path / "m", scorer.model, direction="forward")
    loaded = Scorer.load(tmp_path / "m")
    assert (loaded.name, loaded.tokenizer, loaded.shortest) == ("m", scorer.tokenizer, 5)
    sequences = [encode_bases(s) for s in random_sequences(3, 90, 3)]
    np.testing.assert_array_equal(loaded.probabilities(sequences), scorer.probabilities(sequences))
    add_facts(tmp_path / "m", familiarity={"kmer_counts": "1 2"})
    with pytest.raises(ValueError, match=r"m/config.json: damaged description of the training sequences"):
        Scorer.load(tmp_path / "m")


# --- A whole file -------------------------------------------------------------------------------------------


@pytest.fixture
def genome(tmp_path):
    return fasta(
        tmp_path / "g.fa",
        [
            ("chr1", random_sequences(1, 3000, 5)[0]),
            ("browser_ctg", random_sequences(1, 700, 6)[0]),
            ("track1", random_sequences(1, 700, 7)[0]),
        ],
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("form", ["fasta", "bed"])
def test_a_file_is_scored_as_its_records_are(scorer, genome, tmp_path, form):
    if form == "bed":
        path = tmp_path / "peaks.bed"
        path.write_text("chr1\t5\t505\tone\t0\t-\nchr1\t90\t2000\ntrack1\t0\t300\n")
    else:
        path = fasta(tmp_path / "peaks.fa", zip("abc", random_sequences(3, 600, 8)))
    written = score_file(path, scorer, genome if form == "bed" else None, folder=tmp_path / "scores")
    expected = pd.concat(score_queries(scorer, read_queries(path, genome)), ignore_index=True)
    pd.testing.assert_frame_equal(pd.read_parquet(written.paths["parquet"]), expected)
    assert written.n == 3 and sorted(contents(tmp_path / "scores")) == sorted(
        path.name for path in written.paths.values()
    )
    assert written.report("sequences").splitlines()[-3:] == [
        f"written: {path}" for path in written.paths.values()
    ]


def test_two_inputs_of_one_name_have_results_of_their_own_that_say_whose_they_are(scorer, tmp_path):
    for number in (0, 1):
        (tmp_path / str(number)).mkdir()
        path = fasta(tmp_path / str(number) / "peaks.fa", [("a", random_sequences(1, 500, number)[0])])
        score_file(path, scorer, folder=tmp_path / "scores")
    made_by = [
        json.loads(path.read_text().splitlines()[0][2:])
        for path in sorted((tmp_path / "scores").glob("*.tsv"))
    ]
    files = [facts["inputs"]["input"] for facts in made_by]
    assert {file["path"] for file in files} == {str(tmp_path / number / "peaks.fa") for number in "01"}
    assert all(set(file) == {"path", "bytes", "sha256"} and file["bytes"] == 522 for file in files), files
    assert files[0]["sha256"] != files[1]["sha256"]


def test_classifiers_of_one_name_and_other_genomes_have_results_of_their_own(scorer, tmp_path):
    (tmp_path / "x.bed").write_text("chr1\t0\t500\n")
    genomes = [fasta(tmp_path / f"{n}.fa", [("chr1", random_sequences(1, 600, n)[0])]) for n in (0, 1)]
    other = Scorer(scorer.name, scorer.model, scorer.tokenizer, scorer.config | {"weights_sha256": "1" * 64})
    stems = {
        score_file(tmp_path / "x.bed", s, g, folder=tmp_path / "scores", both_strands=both).paths["tsv"]
        for s in (scorer, other)
        for g in genomes
        for both in (True, False)
    }
    assert len(stems) == 8 and all("tiny-" in stem.name for stem in stems)
    again = score_file(tmp_path / "x.bed", scorer, genomes[0], folder=tmp_path / "scores")
    assert again.paths["tsv"] in stems


@pytest.mark.parametrize("how", ["same", "symbolic", "hard", "other", "genome", "index", "missing"])
def test_a_result_never_replaces_an_input_or_a_file_of_the_user(scorer, genome, tmp_path, how):
    peaks = tmp_path / "peaks.bed"
    peaks.write_text("chr1\t5\t505\tmine\n")
    folder = tmp_path / "d"
    folder.mkdir()
    write_to = {"same": tmp_path / "d/../peaks", "missing": folder / "new"}.get(how, folder / "r")
    if how == "symbolic":
        (folder / "r.bed").symlink_to(peaks)
    if how == "hard":
        os.link(peaks, folder / "r.tsv")
    if how == "other":
        (folder / "r.parquet").write_text("notes of mine")
    if how == "genome":
        os.link(genome, folder / "r.bed")
    if how == "index":
        Path(f"{genome}.fai").write_text("chr1\t3000\t6\t60\t61\n")
        os.link(f"{genome}.fai", folder / "r.tsv")
    before = contents(tmp_path) | contents(folder)
    if how == "missing":
        first = score_file(peaks, scorer, genome, write_to)
        assert score_file(peaks, scorer, genome, write_to) == first  # results of its own are replaced
    else:
        with pytest.raises(ValueError, match="would replace the input|was not written by this project"):
            score_file(peaks, scorer, genome, write_to)
        assert contents(tmp_path) | contents(folder) == before


def test_one_bad_record_at_the_end_stops_before_scoring_or_is_left_out_and_named(
    scorer, tmp_path, monkeypatch
):
    records = list(zip(map(str, range(6)), random_sequences(6, 60, 3)))
    path = fasta(tmp_path / "x.fa", [*records, ("short", "AC"), ("wrong", "ACXZACGT"), ("empty", "")])
    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "probabilities", None)  # nothing is scored
        with pytest.raises(
            ValueError,
            match=r"x.fa, line 13: record 'short': 2 bases are too few.*Nothing was written.*ON_BAD",
        ):
            score_file(path, scorer, folder=tmp_path / "scores")
    assert not (tmp_path / "scores").exists()
    written = score_file(path, scorer, folder=tmp_path / "scores", on_bad="skip")
    assert written.n == 6 and pd.read_parquet(written.paths["parquet"]).name.tolist() == [
        name for name, _ in records
    ]
    listed = written.paths["skipped.txt"].read_text().splitlines()[1:]
    assert listed == written.skipped and [int(re.search(r"line (\d+)", line)[1]) for line in listed] == [
        13,
        16,
        17,
    ]
    assert "left out: 3" in written.report("sequences") and "record 'short':" in written.report("sequences")
    with pytest.raises(ValueError, match="ON_BAD=.ignore.: use one of stop, skip"):
        score_file(path, scorer, folder=tmp_path / "scores", on_bad="ignore")


def test_what_has_no_score_is_not_counted_as_scored(scorer, tmp_path):
    known, unknown = random_sequences(2, 60, 3), ["N" * 60, "N" * 40 + "ACGT" * 5]
    path = fasta(tmp_path / "x.fa", zip("abcd", [known[0], *unknown, known[1]]))
    written = score_file(path, scorer, folder=tmp_path / "scores")
    assert pd.read_parquet(written.paths["parquet"]).probability.notna().sum() == 2 == written.n
    said = written.summary("sequences").splitlines()
    assert said[0] == "2 sequences scored, 2 not scored (NA); left out: 0"


def test_fasta_with_a_genome_is_scored_alike_and_told_that_it_needs_none(scorer, genome, tmp_path):
    path = fasta(tmp_path / "x.fa", zip("ab", random_sequences(2, 60, 3)))
    alone, given = (score_file(path, scorer, one, folder=tmp_path / "scores") for one in (None, genome))
    assert alone.paths == given.paths and not alone.remark
    assert f"GENOME='{genome}' is not read: x.fa is FASTA" in given.report("sequences")


@pytest.mark.parametrize("path", ["made/", "", ".", "..", "made/..", "made/."])
def test_a_folder_is_no_name_of_results(scorer, tmp_path, path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="WRITE_TO=.*: give the path of the results without their ending"):
        scoring.checked_stem(path)
    input = fasta(tmp_path / "x.fa", zip("ab", random_sequences(2, 60, 3)))
    if path:
        with pytest.raises(ValueError, match="give the path of the results"):
            score_file(input, scorer, write_to=path)
    assert [file.name for file in tmp_path.iterdir()] == ["x.fa"]


def test_bad_intervals_are_left_out_and_a_file_without_a_good_one_is_refused(scorer, genome, tmp_path):
    bad = [
        "chr1\t0\t3001",
        "chr9\t0\t500",
        "chr1\t7\t9",
        "chr1\tx\t500",
        "chr1\t-5\t500",
        "chr1\t9\t8",
        "chr1",
    ]
    path = tmp_path / "x.bed"
    path.write_text("\n".join(["chr1\t0\t500", *bad, "chr1\t100\t700", ""]))
    written = score_file(path, scorer, genome, folder=tmp_path / "scores", on_bad="skip")
    assert pd.read_parquet(written.paths["parquet"]).start.tolist() == [0, 100]
    assert [line.split(":")[0] for line in written.skipped] == [f"{path}, line {n}" for n in range(2, 9)]
    path.write_text("\n".join(bad))
    with pytest.raises(
        ValueError, match="none of 7 records can be scored; the first: .*line 1: chr1 ends at 3,000"
    ):
        score_file(path, scorer, genome, folder=tmp_path / "other", on_bad="skip")
    assert not (tmp_path / "other").exists()


INTERVALS = st.lists(
    st.tuples(
        st.sampled_from(["chr1", "browser_ctg", "track1", "track"]),
        st.integers(0, 300),
        st.integers(1, 300),
        st.text("abcäß_|=", min_size=1, max_size=8),
        st.sampled_from("+-."),
    ),
    min_size=1,
    max_size=6,
)
NOISE = st.sampled_from(["", "   ", "# a comment", 'track name="x"', "browser position chr1:1-5", "track"])


@given(
    INTERVALS,
    st.lists(NOISE, max_size=4),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["x.bed", "x.txt", "x.narrowPeak", "x"]),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_no_interval_is_lost_whatever_the_line_ends_and_the_name_of_the_file(
    tmp_path_factory, intervals, noise, end, bom, zipped, last_end, name, random
):
    folder = tmp_path_factory.mktemp("b")
    contigs = dict(zip(["chr1", "browser_ctg", "track1", "track"], random_sequences(4, 700, 5)))
    genome = fasta(folder / "g.fa", contigs.items())
    lines = [
        f"{chrom}\t{start}\t{start + length}\t{label}\t0\t{strand}"
        for chrom, start, length, label, strand in intervals
    ]
    for extra in noise:
        lines.insert(random.randint(0, len(lines)), extra)
    content = ("\ufeff" * bom + end.join(lines) + end * last_end).encode()
    path = folder / name
    path.write_bytes(gzip.compress(content) if zipped else content)
    found = [(r.chrom, r.start, text(r.codes), r.name, r.strand) for r in read_queries(path, genome)]
    assert found == [
        (chrom, start, contigs[chrom][start : start + length], label, strand)
        for chrom, start, length, label, strand in intervals
    ]


def test_a_stray_carriage_return_ends_a_line(genome, tmp_path):
    (tmp_path / "x.bed").write_bytes(b"chr1\t0\t50\tone\rchr1\t5\t60\ttwo\nchr1\t9\t70\tthree\r\n")
    assert [r.name for r in read_bed(tmp_path / "x.bed", genome)] == ["one", "two", "three"]


@pytest.mark.parametrize("length", [60, 500, 777, 1240])
@pytest.mark.parametrize("both", [True, False])
def test_a_record_on_the_minus_strand_is_scored_on_its_own(scorer, length, both):
    codes = encode_bases(random_sequences(1, length, 9)[0])
    (found,) = score_queries(
        scorer, [Query("r", codes, "c", 1000, "-"), Query("r", codes, "c", 1000, "+")], both
    )
    (plus,) = score_queries(scorer, [Query("r", codes, "c", 0)], both)
    (minus,) = score_queries(scorer, [Query("r", reverse_complement(codes), "c", 0)], both)
    assert found.probability[1] == pytest.approx(plus.probability[0], rel=1e-5)
    expected = plus if both else minus
    assert found.probability[0] == pytest.approx(expected.probability[0], rel=1e-5)
    assert found.mean_probability[0] == pytest.approx(expected.mean_probability[0], rel=1e-5)
    best = codes[found.best_start[0] - 1000 : found.best_end[0] - 1000]
    assert scorer.probabilities([best if both else reverse_complement(best)], both)[0] == pytest.approx(
        found.probability[0], rel=1e-5
    )
    assert found.strand.tolist() == ["-", "+"]


@pytest.mark.parametrize("length", [300, 1250, 777])
def test_windows_of_both_strands_are_counted_from_the_plus_strand(scorer, length):
    """So the same DNA as a FASTA record of the minus strand has other windows at most lengths."""
    codes = encode_bases(random_sequences(1, length, 9)[0])
    (interval,) = score_queries(scorer, [Query("r", codes, "c", 0, "-")])
    (record,) = score_queries(scorer, [Query("r", reverse_complement(codes), "r", 0)])
    same = interval.mean_probability[0] == pytest.approx(record.mean_probability[0], rel=1e-6)
    assert same == (length <= 500 or length % 250 == 0)


def test_the_files_of_a_run_name_model_inputs_and_parameters(scorer, tmp_path):
    path = fasta(tmp_path / "x.fa", [("a", "ACGT")])
    output = output_of(scorer, {"input": path}, ["tsv"], None, tmp_path / "d", both_strands=True)
    assert (
        output.paths["tsv"].name.startswith("x_tiny-00000000_")
        and json.loads(output.made_by)["both_strands"] is True
    )
    with pytest.raises(FileNotFoundError, match="is a folder, not a file"):
        output_of(scorer, {"input": tmp_path}, ["tsv"], None, tmp_path / "d")


def test_a_path_may_begin_at_the_home_folder(scorer, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    fasta(tmp_path / "x.fa", [("a", random_sequences(1, 90, 0)[0])])
    written = score_file("~/x.fa", scorer, write_to="~/scores/x")
    assert written.paths["tsv"] == tmp_path / "scores/x.tsv" and written.paths["tsv"].is_file()
