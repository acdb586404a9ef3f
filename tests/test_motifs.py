"""Motifs: the file that holds them, hits against a plain loop, and planted ones that are found again."""

import math

import numpy as np
import pytest
from naive import random_sequences, reverse_complement

from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.motifs import (
    Motif,
    can_find_motifs,
    find_motifs,
    motif_hits,
    motif_similarity,
    read_motifs,
)

FILE = ">M1.2\tone::two\nA [ 4 0 ]\nC [ 0 1 ]\nG [ 0 3 ]\nT [ 0 0 ]\n\n>M2\nA[9]\nC[0]\nG[0]\nT[0]\n"


@pytest.fixture(scope="module")
def jaspar() -> list[Motif]:
    return read_motifs()


def consensus(motif: Motif) -> str:
    return "".join("ACGT"[base] for base in motif.counts.argmax(0))


def motif_of(word: str, name: str = "") -> Motif:
    """A motif of 100 sites with this word."""
    return Motif(name or word, name or word, 100 * np.eye(4)[encode_bases(word)].T)


@pytest.mark.parametrize("name, word", [("HNF1A", "GTTAATGATTAA"), ("HNF4A", "CAAAGTCCA"), ("CEBPA", "TTGC"),
                                        ("FOXA2", "TGTTTAC"), ("CTCF", "CCACCAGGGGG")])  # fmt: skip
def test_motifs_of_jaspar_have_the_words_of_the_literature(jaspar, name, word):
    words = [consensus(motif) for motif in jaspar if motif.name == name]
    assert any(word in strand for one in words for strand in (one, reverse_complement(one))), words


def test_a_file_is_read_as_it_is_written(tmp_path):
    path = tmp_path / "motifs.txt"
    path.write_text(FILE)
    one, two = read_motifs(path)
    assert (one.id, one.name, two.id, two.name) == ("M1.2", "one::two", "M2", "M2")
    assert one.counts.tolist() == [[4, 0], [0, 1], [0, 3], [0, 0]] and two.counts.shape == (4, 1)
    # Four sites, and the square root of four as pseudocount: (4 + 0.5) / 6 and 0.5 / 6.
    assert one.probabilities[:, 0] == pytest.approx([0.75, 1 / 12, 1 / 12, 1 / 12])
    assert one.log_odds[:, 0] == pytest.approx([math.log(3)] + 3 * [-math.log(3)])


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "holds no motif"),
        ("A [ 1 ]\n", "line 1: expected a line such as '>MA0046.3 HNF1A', not 'A"),
        (
            FILE.replace("G [ 0 3 ]", "G 0 3"),
            r"line 4: expected counts such as 'G \[ 4 19 0 \]', not 'G 0 3'",
        ),
        (FILE.replace("G [ 0 3 ]\n", ""), "line 4: expected counts such as 'G"),
        (FILE.replace("T[0]\n", ""), "line 11: expected counts .*the end of the file"),
        (FILE.replace("[ 0 3 ]", "[ 0 3 1 ]"), "line 1: the four rows differ in length"),
        (FILE.replace("[9]", "[0]"), "line 7: .* a column has no counts"),
        (FILE.replace("[9]", "[9.9.9]"), "line 8: expected counts such as"),
        (FILE.replace("M2", "M1.2"), "M1.2 is there twice"),
    ],
)
def test_a_file_that_is_none_is_refused_by_line(tmp_path, text, message):
    path = tmp_path / "motifs.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"motifs.txt.*{message}"):
        read_motifs(path)


def test_hits_are_those_of_a_plain_loop(jaspar):
    motifs = [jaspar[0], jaspar[500], *jaspar[:3][::-1], motif_of("A")]
    sequences = [*random_sequences(3, 40, 1), random_sequences(1, 55, 2)[0][:30] + "NNRY" + "ACGTACGTA"]
    for sequence, found in zip(sequences, motif_hits(sequences, motifs)):
        for place, motif in enumerate(motifs):
            odds, width = motif.log_odds, motif.counts.shape[1]
            scores = [
                sum(
                    odds["ACGT".index(base), i]
                    for i, base in enumerate(strand[start:][:width])
                    if base in "ACGT"
                )
                for strand in (sequence, reverse_complement(sequence))
                for start in range(len(sequence) - width + 1)
            ]
            assert found[place] == pytest.approx(math.log(sum(map(math.exp, scores))), abs=1e-4)


def test_both_strands_have_the_same_hits(jaspar):
    sequences = random_sequences(2, 60, 3)
    other = motif_hits([reverse_complement(s) for s in sequences], jaspar[:9])
    assert (motif_hits(sequences, jaspar[:9]) == other).all()


def test_a_motif_wider_than_the_sequence_is_compared_with_what_there_is():
    motifs = [motif_of("ACCGT"), motif_of("AC")]
    found = motif_hits(["ACCG", "ACCGN"], motifs)
    match = motifs[0].log_odds.max(0)
    assert (found[:, 0] > match[:4].sum()).all() and (found[:, 0] < match.sum()).all()  # 4 of its 5 bases
    assert motif_hits([], motifs).shape == (0, 2)


# Motifs that a model has learned

needs_modisco = pytest.mark.skipif(not can_find_motifs(), reason="needs `pip install -e .[motifs]`")
WORDS = {"one": "CTCTACCATTGC", "two": "GGTGGATTAAGC", "three": "GCTGAAGGACAT"}


@needs_modisco
def test_planted_motifs_are_found_and_named(jaspar):
    """Words on either strand, where contributions are high; nothing else contributes."""
    rng, words = np.random.default_rng(0), list(WORDS.values())
    sequences = [encode_bases(s) for s in random_sequences(40, 200, 4)]
    contributions = [rng.normal(0, 0.02, 200) for _ in sequences]
    for i, (codes, values) in enumerate(zip(sequences, contributions)):
        for j, start in enumerate((20, 90, 150)):
            word = words[(i + j) % 3]
            codes[start : start + 12] = encode_bases(word if rng.random() < 0.5 else reverse_complement(word))
            values[start : start + 12] += 0.3
    sequences[0], contributions[0] = sequences[0][:190], contributions[0][:190]
    found = find_motifs(sequences, contributions)
    p = motif_similarity(found, [motif_of(word, name) for name, word in WORDS.items()] + jaspar[:100])
    assert sorted(p.idxmin(axis=1)) == sorted(f"{name} ({name})" for name in WORDS)
    assert (p.min(axis=1) < 1e-6).all() and (p > 1e-6).sum().sum() == 3 * 102
    assert all(motif.sites > 30 and motif.contributions.min() > 0.1 for motif in found)
    assert {min(consensus(m), reverse_complement(consensus(m))) for m in found} == {
        min(word, reverse_complement(word)) for word in words
    }


@needs_modisco
def test_too_little_holds_no_motif():
    assert find_motifs([encode_bases("ACGT" * 6)] * 30, [np.ones(24)] * 30) == [] == find_motifs([], [])
    assert motif_similarity([], [motif_of("ACGT")]).shape == (0, 1)


def test_where_modisco_is_missing_the_way_out_is_said(monkeypatch):
    monkeypatch.setattr("genomic_ulmfit.motifs.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install -e .\[motifs\]"):
        find_motifs([], [])
