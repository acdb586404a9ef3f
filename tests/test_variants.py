"""Variants: the right window for each allele, the right row for each line."""

import gzip
import json

import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from naive import random_sequences, text
from tiny import tiny_scorer

from genomic_ulmfit import variants
from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.scoring import BadRecords
from genomic_ulmfit.variants import VARIANT_COLUMNS, read_variants, score_alleles, score_variants

HEADER = "##fileformat=VCFv4.2\n##contig=<ID=chr1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
SEQUENCE = random_sequences(1, 1500, 9)[0]


@pytest.fixture(scope="module")
def scorer():
    return tiny_scorer()


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    path = tmp_path_factory.mktemp("g") / "g.fa"
    path.write_text(
        f">chr1\n{SEQUENCE[:700].lower()}{SEQUENCE[700:]}\n>short\n{SEQUENCE[:300]}\n>gap\n{'N' * 800}\n"
    )
    return path


def vcf(folder, *rows):
    path = folder / "x.vcf"
    path.write_text(HEADER + "".join("\t".join([*map(str, row), ".", ".", "."]) + "\n" for row in rows))
    return path


@given(st.integers(0, 1499), st.integers(1, 60), st.text("ACGT", min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
@example(1382, 60, "A")  # a deletion whose last base no window of both alleles holds
@example(1381, 60, "A")
def test_windows_are_the_reference_and_the_edited_reference(genome, tmp_path_factory, start, length, alt):
    ref = SEQUENCE[start : start + length]
    path = vcf(tmp_path_factory.mktemp("v"), ("chr1", start + 1, "rs1", ref, alt))
    (allele,) = read_variants(path, genome)
    last = 1000 - max(0, len(ref) - len(alt))  # the last base at which both windows can begin
    holds = start + max(len(ref), len(alt)) <= last + 500
    assert (allele.windows is not None) == holds and (allele.note == "") == holds
    assume(holds)
    reference, changed = map(text, allele.windows)
    first, longest = SEQUENCE.find(reference), max(len(ref), len(alt))
    assert len(reference) == len(changed) == 500 and first >= 0
    assert (SEQUENCE[:start] + alt + SEQUENCE[start + len(ref) :])[first : first + 500] == changed
    assert first <= start and start + longest <= first + 500
    assert first in (0, last) or abs((start + longest / 2) - (first + 250)) <= 1
    assert (allele.chrom, allele.position, allele.id, allele.ref, allele.alt, allele.note) == (
        "chr1",
        start + 1,
        "rs1",
        ref,
        alt,
        "",
    )


def test_rows_are_in_order_one_an_alternative_allele(scorer, genome, tmp_path, monkeypatch):
    a, b = SEQUENCE[99], SEQUENCE[799]
    other = {x: [y for y in "ACGT" if y != x] for x in "ACGT"}
    path = vcf(
        tmp_path,
        ("chr1", 100, "rs1", a, ",".join(other[a][:2])),
        ("chr1", 800, ".", b, "<DEL>"),
        ("chr1", 801, ".", SEQUENCE[800], "*"),
        ("chr1", 900, ".", SEQUENCE[899], "."),
        ("chr1", 1001, "ins", SEQUENCE[1000], SEQUENCE[1000] + "ACGT" * 70),
        ("short", 10, ".", SEQUENCE[9], other[SEQUENCE[9]][0]),
        ("gap", 400, ".", "N", "A"),
    )
    tables = []
    for at_once in (512, 2):
        monkeypatch.setattr(variants, "AT_ONCE", at_once)
        tables.append(pd.concat(score_alleles(scorer, read_variants(path, genome)), ignore_index=True))
    pd.testing.assert_frame_equal(*tables, rtol=1e-5)
    table = tables[0]
    assert list(table.columns) == VARIANT_COLUMNS
    assert table.alt.tolist()[:5] == [*other[a][:2], "<DEL>", "*", "."]
    assert table.position.tolist() == [100, 100, 800, 801, 900, 1001, 10, 400]
    assert table.difference.notna().tolist() == [True, True, False, False, False, False, True, False]
    notes = table.note.tolist()
    assert (
        notes[0] == ""
        and all("no sequence" in n for n in notes[2:5])
        and "longer than 250" in notes[5]
        and "too few known bases" in notes[7]
    )
    changed = encode_bases(SEQUENCE[:99] + other[a][0] + SEQUENCE[100:])[:500]
    ref, alt = scorer.log_odds([encode_bases(SEQUENCE[:500]), changed])
    found = table.loc[0, ["log_odds_ref", "log_odds_alt", "difference"]].astype(float)
    np.testing.assert_allclose(found, [ref, alt, alt - ref], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "row, message",
    [
        (
            ("chr1", 100, ".", "ACGTACGTACGT", "A"),
            "line 5: REF is ACGTACGTACGT, but the genome has [ACGT]{12} at chr1:100: another assembly",
        ),
        (("1", 100, ".", "A", "C"), 'line 5: no contig "1" in the genome: it is called "chr1"'),
        (("chr1", 1502, ".", "A", "C"), "line 5: chr1:1501-1502 is no interval"),
        (("chr1", "x", ".", "A", "C"), "line 5"),
        (("garbage",), "line 5"),
    ],
)
def test_a_line_that_does_not_fit_the_genome_is_named(genome, tmp_path, row, message):
    path = vcf(tmp_path, ("chr1", 100, ".", SEQUENCE[99], "N"), row)
    with pytest.raises(ValueError, match=f"x.vcf, {message}"):
        list(read_variants(path, genome))


def test_an_insertion_moves_the_score_as_little_however_the_window_is_cut():
    """With stride 2 a shift by one base is another way to cut; both ways enter."""
    scorer, codes = tiny_scorer(4, 2), encode_bases(SEQUENCE)[:500]
    changed = np.concatenate([codes[:250], [2], codes[250:]]).astype(np.uint8)[:500]
    (table,) = score_alleles(scorer, iter([variants.Allele("c", 1, ".", "A", "AG", (codes, changed), "")]))
    expected = [
        np.mean([scorer.log_odds([w[:499]])[0], scorer.log_odds([w[1:]])[0]]) for w in (codes, changed)
    ]
    np.testing.assert_allclose(
        table.loc[0, ["log_odds_ref", "log_odds_alt"]].astype(float), expected, rtol=1e-5
    )


def test_ambiguity_codes_of_the_genome_and_telomeres(tmp_path):
    genome = tmp_path / "g.fa"
    genome.write_text(">chr1\n" + SEQUENCE[:600] + "R" + SEQUENCE[601:] + "\n")
    found = list(
        read_variants(vcf(tmp_path, ("chr1", 0, ".", "N", "A"), ("chr1", 601, ".", "A", "G")), genome)
    )
    assert "before the first base" in found[0].note and found[1].note == ""


@pytest.mark.parametrize(
    "content, message",
    [
        ("chr1\t5\n", "x.vcf: no VCF file"),
        ("", "x.vcf: cut off, or no VCF file"),
        (HEADER[:20], "x.vcf: cut off"),
        ("##fileformat=VCFv4.2\nchr1\t5\t.\tA\tC\t.\t.\t.\n", "x.vcf, line 2: a line before the header line"),
    ],
)
def test_what_is_no_vcf_is_refused(genome, tmp_path, content, message):
    (tmp_path / "x.vcf").write_text(content)
    with pytest.raises(ValueError, match=message):
        list(read_variants(tmp_path / "x.vcf", genome))
    with pytest.raises(FileNotFoundError, match="none.vcf is not there"):
        list(read_variants(tmp_path / "none.vcf", genome))


def test_structural_variants_and_telomeres_are_noted_as_callers_write_them(genome, tmp_path):
    """REF may be N in symbolic alleles, and a telomere lies one base beside the contig."""
    path = vcf(
        tmp_path,
        ("chr1", 100, "del", "N", "<DEL>"),
        ("chr1", 200, "bnd", "N", "N]chr1:900]"),
        ("chr1", 300, "ins", "N", "<INS:ME:ALU>"),
        ("chr1", 0, "first", "N", ".[chr1:1["),
        ("chr1", 1501, "last", "N", "]chr1:9]."),
        ("chr1", 400, "star", SEQUENCE[399], "*"),
    )
    alleles = list(read_variants(path, genome))
    assert [a.id for a in alleles] == ["del", "bnd", "ins", "first", "last", "star"] and not any(
        a.windows for a in alleles
    )
    no_sequence = "not scored: no sequence is given for the alternative allele"
    assert [a.note for a in alleles] == [
        *[no_sequence] * 3,
        "not scored: before the first base",
        "not scored: after the last base",
        no_sequence,
    ]


@pytest.mark.parametrize("form", ["gzip", "bgzip", "bcf", "crlf", "cr"])
def test_every_form_of_a_file_gives_the_same(scorer, genome, tmp_path, form):
    path = vcf(
        tmp_path,
        ("chr1", 100, ".", SEQUENCE[99], "N"),
        ("chr1", 400, "rs9", SEQUENCE[399:402], SEQUENCE[399]),
    )
    other = tmp_path / {"gzip": "y.vcf.gz", "bgzip": "y.vcf.gz", "bcf": "y.bcf"}.get(form, "y.vcf")
    if form == "bgzip":
        pysam.tabix_compress(str(path), str(other))
    elif form == "bcf":
        with (
            pysam.VariantFile(str(path)) as plain,
            pysam.VariantFile(str(other), "wb", header=plain.header) as packed,
        ):
            for record in plain:
                packed.write(record)
    else:
        ends = {"crlf": b"\r\n", "cr": b"\r"}.get(form, b"\n")
        content = path.read_bytes().replace(b"\n", ends)
        other.write_bytes(gzip.compress(content) if form == "gzip" else content)
    texts = [
        score_variants(p, scorer, genome, tmp_path / p.name).paths["tsv"].read_text().split("\n", 1)
        for p in (path, other)
    ]
    assert texts[0][1] == texts[1][1] and json.loads(texts[0][0][2:])["inputs"]["variants"]["path"] == str(
        path
    )
    table = pd.read_csv(tmp_path / "x.vcf.tsv", sep="\t", comment="#", keep_default_na=False)
    assert (
        list(table.columns) == VARIANT_COLUMNS
        and table.id.tolist() == [".", "rs9"]
        and np.isfinite(table.difference.astype(float)).all()
    )


def test_a_header_without_a_variant_gives_an_empty_table(scorer, genome, tmp_path):
    written = score_variants(vcf(tmp_path), scorer, genome, folder=tmp_path / "d")
    table = pd.read_csv(written.paths["tsv"], sep="\t", comment="#")
    assert written.n == len(table) == 0 and list(table.columns) == VARIANT_COLUMNS


def test_lines_that_do_not_fit_stop_before_scoring_or_are_left_out_and_named(
    scorer, genome, tmp_path, monkeypatch
):
    wrong = "ACGT"["ACGT".index(SEQUENCE[49]) - 1]
    path = vcf(
        tmp_path,
        ("chr1", 100, "good", SEQUENCE[99], "N"),
        ("chr1", 50, "ref", wrong, "A"),
        ("chrZ", 1, "contig", "A", "C"),
        ("chr1", 5000, "beyond", "A", "C"),
        ("chr1", "1e3", "pos", "A", "C"),
        ("chr1", 7, "letters", "A?", "C"),
    )
    path.write_text(path.read_text() + "chr1\t9\n" + f"chr1\t100\tlast\t{SEQUENCE[99]}\tA\t.\t.\t.\n")
    with monkeypatch.context() as patch:
        patch.setattr(type(scorer), "probabilities", None)
        with pytest.raises(
            ValueError, match=r"line 5: REF is .* another assembly\? Nothing was written.*ON_BAD"
        ):
            score_variants(path, scorer, genome, folder=tmp_path / "d")
    assert not (tmp_path / "d").exists()
    written = score_variants(path, scorer, genome, folder=tmp_path / "d", on_bad="skip")
    assert pd.read_csv(written.paths["tsv"], sep="\t", comment="#").id.tolist() == ["good", "last"]
    assert [line.split(":")[0] for line in written.skipped] == [f"{path}, line {n}" for n in range(5, 11)]
    assert written.paths["skipped.txt"].read_text().splitlines()[1:] == written.skipped
    score_variants(
        vcf(tmp_path, ("chr1", 100, "good", SEQUENCE[99], "N")),
        scorer,
        genome,
        folder=tmp_path / "d",
        on_bad="skip",
    )


def test_a_result_never_replaces_the_variants(scorer, genome, tmp_path):
    path = vcf(tmp_path, ("chr1", 100, ".", SEQUENCE[99], "N"))
    path = path.rename(tmp_path / "x.tsv")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="would replace the input"):
        score_variants(path, scorer, genome, tmp_path / "x")
    assert path.read_bytes() == before


LETTERS = st.text("ACGTN", min_size=1, max_size=4)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 1400),
            LETTERS | st.sampled_from(["<DEL>", "*", "."]),
            st.sampled_from(["rs1", ".", "ä b"]),
        ),
        max_size=5,
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_every_line_of_a_vcf_is_read(genome, tmp_path_factory, rows, end, bom, zipped):
    lines = [f"chr1\t{p}\t{name}\t{SEQUENCE[p - 1]}\t{alt}\t.\t.\t.\tGT\t0/1" for p, alt, name in rows]
    content = ("\ufeff" * bom + end.join([*HEADER.splitlines(), *lines]) + end).encode()
    path = tmp_path_factory.mktemp("v") / "x.vcf"
    path.write_bytes(gzip.compress(content) if zipped else content)
    bad = BadRecords("skip")
    found = [(a.position, a.alt, a.id) for a in read_variants(path, genome, bad)]
    assert found == rows and not bad.skipped
