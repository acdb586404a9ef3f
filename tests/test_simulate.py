"""The simulated profile: repeatable, laid out as promised, decided by motif grammar."""

import hashlib
import os
import re
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import dnaio
import numpy as np
import pandas as pd
import pytest
import simulate
from naive import reverse_complement
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genomic_ulmfit.enhancers import list_species, read_species
from genomic_ulmfit.markov import markov_bits

TINY = {"genome_bases": 20_000, "sequences": 60}


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """Full-size enhancers, small genomes."""
    out = tmp_path_factory.mktemp("data") / "simulated"
    return out, simulate.simulate(out, genome_bases=50_000)


def checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def base_numbers(sequences: pd.Series) -> np.ndarray:
    """(sequences, bases) with A0 C1 G2 T3."""
    letters = np.array([np.frombuffer(sequence.encode(), dtype=np.uint8) for sequence in sequences])
    return np.searchsorted(np.frombuffer(b"ACGT", dtype=np.uint8), letters)


def read_contigs(path: Path) -> dict[str, str]:
    with dnaio.open(path, fileformat="fasta") as reader:
        return {record.name: record.sequence for record in reader}


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        simulate.simulate(tmp_path / name, seed=seed, **TINY)
    first, again, other = (checksums(tmp_path / name) for name in "abc")
    assert first == again
    assert first.keys() == other.keys()
    assert {name for name in first if first[name] == other[name]} == {"motifs.tsv"}


def test_layout_and_counts(profile):
    out, counts = profile
    genomes = {f"{species}.{locus}.fa" for species in simulate.GENOMES for locus in ("locus1", "locus2")}
    assert {path.name for path in (out / "genomes").iterdir()} == genomes
    assert list_species(out) == sorted(simulate.SPECIES)
    contigs = {path.name: read_contigs(path) for path in (out / "genomes").iterdir()}
    assert counts["files"] == len(contigs) == 8
    assert counts["contigs"] == sum(map(len, contigs.values()))
    assert counts["bases"] == sum(len(bases) for file in contigs.values() for bases in file.values())
    assert counts["bases"] == pytest.approx(4 * 50_000, rel=0.02)
    for species in simulate.SPECIES:
        table, report = read_species(out / "enhancers" / species, min_length=500)
        assert report.loc["read"].tolist() == report.loc["kept"].tolist() == [400, 400]
        assert set(table["sequence"].str.len()) == {500}
    assert (out / "README.md").read_text().startswith("# Simulated data")


def test_genome_files(profile):
    out, _ = profile
    for path in (out / "genomes").iterdir():
        lines = path.read_text().splitlines()
        headers = [line for line in lines if line.startswith(">")]
        assert all("simulated" in header for header in headers)
        assert len(headers) == len({header.split()[0] for header in headers}) == 3
        assert max(len(line) for line in lines if not line.startswith(">")) == 60
        contigs = list(read_contigs(path).values())
        assert len(contigs[0]) > 20 * max(map(len, contigs[1:]))
        text = "".join(contigs)
        assert set(text) <= set("ACGTacgtN")
        assert 0.1 < sum(map(str.islower, text)) / len(text) < 0.6
    human = "".join(read_contigs(out / "genomes" / "human.locus1.fa").values())
    assert re.search("N{50}", human)
    upper = human.upper()
    cpg = upper.count("CG") * len(upper) / (upper.count("C") * upper.count("G"))
    assert cpg < 0.6  # observed over expected; 1 without depletion


def test_primates_are_related(profile):
    """Nearer species share more unmasked 20-mers; the two loci share hardly any."""
    out, _ = profile

    def words(species, locus):
        text = "".join(read_contigs(out / "genomes" / f"{species}.{locus}.fa").values())
        return {
            word for i in range(len(text) - 19) if (word := text[i : i + 20]).isupper() and "N" not in word
        }

    human, chimpanzee, gorilla = (words(species, "locus2") for species in ("human", "chimpanzee", "gorilla"))
    assert 0.04 < len(human & gorilla) / len(human) < len(human & chimpanzee) / len(human) < 0.4
    assert len(human & words("human", "locus1")) / len(human) < 0.01


def test_relatives_keep_motifs_and_little_else(monkeypatch):
    rng = np.random.default_rng(0)
    ancestor = simulate._ancestor(rng, 100_000, simulate._repeat_families(rng))
    motif = ancestor & simulate.SITE > 0
    assert 0.1 < motif.mean() < 0.2
    relative = simulate._descend(rng, ancestor, 0.1)
    assert len(relative) != len(ancestor)
    np.testing.assert_array_equal(relative[relative & simulate.SITE > 0], ancestor[motif])
    monkeypatch.setattr(simulate, "INDELS_PER_SUBSTITUTION", 0)
    changed = simulate._descend(rng, ancestor, 0.1) != ancestor
    assert not changed[motif].any() and changed[~motif].mean() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("species", simulate.SPECIES)
def test_composition_decides_nothing(profile, species):
    table, _ = read_species(profile[0] / "enhancers" / species, min_length=500)
    gc = table["sequence"].str.count("[GC]")
    assert 0.45 <= roc_auc_score(table["label"], gc) <= 0.55
    bases = base_numbers(table["sequence"])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    for words, size in ((bases, 4), (4 * bases[:, :-1] + bases[:, 1:], 16)):
        counts = np.array([np.bincount(row, minlength=size) for row in words])
        scores = cross_val_predict(model, counts, table["label"], cv=5, method="decision_function")
        assert roc_auc_score(table["label"], scores) <= 0.58


@pytest.mark.parametrize("species", simulate.SPECIES)
def test_grammar_decides(profile, species):
    """A scan with the true motifs, summed over positions and strands, tells the classes apart."""
    out, _ = profile
    table, _ = read_species(out / "enhancers" / species, min_length=500)
    bases = base_numbers(table["sequence"])
    score = np.zeros(len(table))
    for _, motif in pd.read_csv(out / "motifs.tsv", sep="\t").groupby("motif"):
        log_odds = np.log(motif[list("ACGT")].to_numpy() / 0.25)
        for weights in (log_odds, log_odds[::-1, ::-1]):
            hits = sum(
                row[bases[:, i : bases.shape[1] - len(weights) + 1 + i]] for i, row in enumerate(weights)
            )
            score += np.log1p(0.001 * np.exp(hits)).sum(axis=1)
    assert roc_auc_score(table["label"], score) >= 0.95


@pytest.mark.parametrize("species", simulate.SPECIES)
def test_truth_agrees_with_sequences(profile, species):
    out, counts = profile
    table, _ = read_species(out / "enhancers" / species, min_length=500)
    truth = pd.read_csv(out / "enhancers" / species / "truth.tsv", sep="\t")
    assert 4 * len(truth) == counts["motifs"]
    sequences = table.set_index("id")["sequence"]
    assert set(truth["id"]) == set(table["id"][table["label"] == 1])
    matches = []
    for row in truth.itertuples():
        planted = sequences[row.id][row.start : row.end]
        assert row.word == (planted if row.strand == "+" else reverse_complement(planted))
        assert len(row.word) == len(simulate.MOTIFS[row.motif])
        matches += [a == b for a, b in zip(row.word, simulate.MOTIFS[row.motif])]
    assert np.mean(matches) == pytest.approx(simulate.CONSENSUS_PROBABILITY, abs=0.02)
    later = truth["start"].shift(-1)[truth["id"] == truth["id"].shift(-1)]
    assert (later >= truth["end"][later.index]).all()


def test_motif_table_is_probabilities_of_distinct_words(profile):
    motifs = pd.read_csv(profile[0] / "motifs.tsv", sep="\t")
    assert np.allclose(motifs[list("ACGT")].sum(axis=1), 1)
    assert (motifs[list("ACGT")].idxmax(axis=1) == motifs["consensus"]).all()
    words = motifs.groupby("motif")["consensus"].sum()
    assert words.to_dict() == simulate.MOTIFS
    both_strands = [*words, *map(reverse_complement, words)]
    fives = [word[i : i + 5] for word in both_strands for i in range(len(word) - 4)]
    assert len(fives) == len(set(fives))


def test_decoys_keep_dinucleotides_but_not_words():
    for word in simulate.MOTIFS.values():
        decoys = {"".join(word[i] for i in order) for order in simulate._decoy_orders(word)}
        assert len(decoys) >= 20
        for decoy in decoys:
            assert sorted(pairwise(decoy)) == sorted(pairwise(word))
            assert not any(decoy[i : i + 4] in word for i in range(len(word) - 3))


def test_verbatim_sequences_lie_in_the_human_genome(profile):
    out, counts = profile
    places = pd.read_csv(out / "verbatim.tsv", sep="\t")
    table, _ = read_species(out / "enhancers" / "Human", min_length=500)
    sequences = table.set_index("id")["sequence"]
    contigs = read_contigs(out / "genomes" / "human.locus1.fa")
    contig = next(iter(contigs.values()))
    for place in places.itertuples():
        found = contig[place.start : place.start + 500]
        assert sequences[place.id] == (found if place.strand == "+" else reverse_complement(found))
    strands = pd.crosstab(places["id"].str.split("_").str[1], places["strand"])
    assert strands.shape == (2, 2) and strands.to_numpy().min() >= 1
    both = "".join(contigs.values()).upper() + "N" + reverse_complement("".join(contigs.values()).upper())
    assert sum(sequence in both for sequence in table["sequence"]) == len(places) == counts["verbatim"] == 12
    assert f"the {counts['verbatim']} labelled human sequences" in (out / "README.md").read_text()


def test_replaces_its_own_output_only(tmp_path):
    out = tmp_path / "simulated"
    simulate.simulate(out, seed=1, **TINY)
    (out / "stale").write_text("left over")
    simulate.simulate(out, seed=2, **TINY)
    assert not (out / "stale").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["simulated"]

    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "README.md").write_text("my data")
    with pytest.raises(FileExistsError, match="theirs holds files"):
        simulate.simulate(theirs, **TINY)
    assert [path.name for path in theirs.iterdir()] == ["README.md"]
    with pytest.raises(FileExistsError, match="is a file"):
        simulate.simulate(theirs / "README.md", **TINY)


def test_failure_leaves_the_earlier_profile(tmp_path, monkeypatch):
    out = tmp_path / "simulated"
    simulate.simulate(out, seed=1, **TINY)
    before = checksums(out)

    def full_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr(simulate, "_write_fasta", full_disk)
    with pytest.raises(OSError, match="no space"):
        simulate.simulate(out, seed=2, **TINY)
    assert checksums(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["simulated"]


@pytest.mark.parametrize(
    "sizes, said",
    [
        ({"genome_bases": 100}, "genome_bases must be at least"),
        ({"sequences": 41}, "sequences must be even"),
        ({"sequences": 10}, "at least 40"),
        ({"seed": -1}, "seed must not be negative"),
    ],
)
def test_refuses_bad_sizes(tmp_path, sizes, said):
    with pytest.raises(ValueError, match=said):
        simulate.simulate(tmp_path / "out", **sizes)
    assert not list(tmp_path.iterdir())


def test_command_prints_counts_and_errors(tmp_path, capsys):
    arguments = ["--out", str(tmp_path / "made"), "--genome-bases", "20000", "--sequences", "60"]
    simulate.main(arguments)
    printed = capsys.readouterr().out
    assert "8 files" in printed and "4 species, 120 positives, 120 negatives" in printed
    with pytest.raises(SystemExit) as stop:
        simulate.main([*arguments, "--seed", "-3"])
    assert stop.value.code == 2
    assert "seed must not be negative" in capsys.readouterr().err


def bits_of_a_period_tracker(bases, unit, divergence):
    """Bits per base of an array by the forward algorithm over its satellite's phases and strands."""
    emitted = np.full((2 * len(unit), 4), divergence / 3)
    emitted[np.arange(2 * len(unit)), np.r_[unit, 3 - unit[::-1]]] = 1 - divergence
    after = np.r_[np.roll(np.arange(len(unit)), -1), len(unit) + np.roll(np.arange(len(unit)), -1)]
    state, bits = np.full(2 * len(unit), 1 / (2 * len(unit))), 0.0
    for base in bases:
        p = state @ emitted
        bits -= np.log2(p[base])
        moved = np.zeros(len(state))
        moved[after] = state * emitted[:, base] / p[base]
        state = moved
    return bits / len(bases)


def test_satellites_hold_what_short_words_do_not():
    """In arrays a model that follows the period beats Markov models of every order."""
    rng = np.random.default_rng(0)
    families = simulate._repeat_families(rng)

    def arrays(bases):
        genome = np.full(bases, simulate.GAP, dtype=np.uint8)
        simulate._add_satellites(rng, genome, families)
        return genome

    train = arrays(400_000)
    assert sum(share for _, share in simulate.SATELLITES.values()) * 0.7 < (train < simulate.GAP).mean() < 0.6
    assert (train[train < simulate.GAP] & simulate.LOWER).all()
    test = [
        simulate._substitute(rng, np.resize(families[name], 1000), simulate.UNIT_DIVERGENCE)
        for name in simulate.SATELLITES
    ]
    bits, scored = markov_bits(
        [np.where(train < simulate.GAP, train & 3, 4).astype(np.uint8)], test, order=10
    )
    tracked = np.mean(
        [
            bits_of_a_period_tracker(array, families[name], simulate.UNIT_DIVERGENCE)
            for name, array in zip(simulate.SATELLITES, test)
        ]
    )
    assert tracked < 1.45
    assert (bits.sum(axis=0) / scored.sum()).min() > tracked + 0.1


def bits_of_a_composition_tracker(bases, memory=300, prior=8):
    """Bits per base of a model that counts the four bases among the last `memory` only."""
    seen = np.eye(4)[bases].cumsum(axis=0)
    before = np.concatenate([np.zeros((1, 4)), seen[:-1]])
    before[memory:] -= before[:-memory]
    p = (before + prior / 4) / (before.sum(axis=1, keepdims=True) + prior)
    return -np.log2(p[np.arange(len(bases)), bases]).mean()


def test_stretches_hold_what_short_words_do_not():
    """The composition of the last 300 bases says more than Markov models, though they know of CpG."""
    train, test = (
        simulate._stretches(np.random.default_rng(seed), windows).reshape(-1)
        for seed, windows in ((0, 800), (1, 200))
    )
    bits, scored = markov_bits([train], [test], order=12)
    assert (bits.sum(axis=0) / scored.sum()).min() > bits_of_a_composition_tracker(test) + 0.015


@pytest.mark.parametrize("script, slow", [("simulate.py", "numpy"), ("fetch.py", "pooch pilot")])
def test_ctrl_c_prints_no_traceback_while_modules_are_imported(script, slow, tmp_path):
    module, *arguments = slow.split()
    (tmp_path / f"{module}.py").write_text("import time; print('importing', flush=True); time.sleep(60)")
    process = subprocess.Popen(
        [sys.executable, Path(simulate.__file__).with_name(script), *arguments],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == "" and process.returncode == -signal.SIGINT
