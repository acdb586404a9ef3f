import json
from collections import Counter
from itertools import product
from pathlib import Path

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import kmers, random_sequences, reverse_complement
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline

from genomic_ulmfit.baselines import (
    ClassChains,
    choose_k,
    composition_baseline,
    gc_baseline,
    gc_fractions,
    kmer_boosting,
    kmer_frequencies,
    kmer_logistic,
    markov_baseline,
    motif_and_kmer_logistic,
    motif_logistic,
    motif_weights,
    repeat_baseline,
)
from genomic_ulmfit.motifs import read_motifs
from genomic_ulmfit.results import read_results, select

DNA = st.text("ACGTN", min_size=8, max_size=60).filter(lambda s: naive.kmers(s, 4))


@pytest.fixture(scope="module")
def planted() -> tuple[list[str], np.ndarray]:
    """160 random sequences of two lengths, half with TGACTCA planted three times; GC says little."""
    sequences = random_sequences(80, 120, seed=1) + random_sequences(80, 200, seed=2)
    rng = np.random.default_rng(3)
    labels = rng.permutation(np.repeat([0, 1], 80))
    for i in np.flatnonzero(labels):
        for start in (10, 40, 90):
            motif = "TGACTCA" if rng.random() < 0.5 else "TGAGTCA"
            sequences[i] = sequences[i][:start] + motif + sequences[i][start + 7 :]
    return sequences, labels


# Features


@given(st.lists(DNA, min_size=1, max_size=4), st.integers(1, 4))
def test_kmer_frequencies_are_shares_of_canonical_kmers(sequences, k):
    columns = [
        kmer for kmer in map("".join, product("ACGT", repeat=k)) if kmer <= naive.reverse_complement(kmer)
    ]
    rows = kmer_frequencies(sequences, k)
    assert rows.shape == (len(sequences), len(columns))
    for row, sequence in zip(rows, sequences, strict=True):
        seen = Counter(naive.canonical(kmer) for kmer in naive.kmers(sequence, k))
        assert row == pytest.approx([seen[kmer] / seen.total() for kmer in columns])


@given(st.text("ACGTN", min_size=1).filter(lambda s: set(s) != {"N"}))
def test_gc_fraction_is_of_the_unambiguous_letters(sequence):
    known = [s for s in sequence if s != "N"]
    assert gc_fractions([sequence])[0, 0] == pytest.approx(sum(s in "GC" for s in known) / len(known))


# Classifiers


def test_kmer_logistic_matches_scikit_learns_vectorizer(planted):
    sequences, labels = planted
    canonical = TfidfVectorizer(analyzer=lambda s: [naive.canonical(w) for w in naive.kmers(s, 4)])
    reference = make_pipeline(canonical, LogisticRegression(max_iter=1000))
    expected = reference.fit(sequences, labels).predict_proba(sequences)
    assert kmer_logistic(k=4).fit(sequences, labels).predict_proba(sequences) == pytest.approx(
        expected, abs=1e-3
    )


def test_a_planted_motif_is_found_by_kmers_and_composition_by_gc(planted):
    sequences, labels = planted
    scores = cross_val_predict(kmer_logistic(), sequences, labels, cv=5, method="predict_proba")[:, 1]
    assert roc_auc_score(labels, scores) > 0.9
    rich = [
        "".join(np.random.default_rng(i).choice(list("ACGT"), 100, p=[0.2, 0.3, 0.3, 0.2])) for i in range(40)
    ]
    data, truth = rich + random_sequences(40, 100, seed=7), np.repeat([1, 0], 40)
    gc = cross_val_predict(gc_baseline(), data, truth, cv=5, method="predict_proba")[:, 1]
    assert roc_auc_score(truth, gc) > 0.9


def depleted_of_cpg(sequences: list[str]) -> list[str]:
    """The same bases, each CG turned into GC."""
    for _ in range(max(map(len, sequences))):
        sequences = [sequence.replace("CG", "GC") for sequence in sequences]
    return sequences


def test_composition_sees_dinucleotides_that_gc_content_hides():
    data, truth = random_sequences(120, 100, seed=8), np.repeat([1, 0], 60)
    data[60:] = depleted_of_cpg(data[60:])
    aucs = [
        roc_auc_score(truth, cross_val_predict(make(), data, truth, cv=5, method="predict_proba")[:, 1])
        for make in (gc_baseline, composition_baseline)
    ]
    assert aucs[0] < 0.7 and aucs[1] > 0.95


def test_boosting_sees_two_motifs_that_only_count_together():
    rng = np.random.default_rng(9)
    data, first, second = random_sequences(400, 60, seed=10), rng.random(400) < 0.5, rng.random(400) < 0.5
    for i in range(400):
        data[i] = ("TGACT" * 3 if first[i] else "") + data[i] + ("GGAAC" * 3 if second[i] else "")
    truth = first ^ second
    aucs = [
        roc_auc_score(truth[300:], model.fit(data[:300], truth[:300]).predict_proba(data[300:])[:, 1])
        for model in (kmer_boosting(k=3, trees=100), kmer_logistic(k=3))
    ]
    assert aucs[0] > 0.9 and aucs[1] < 0.7


def test_motifs_find_the_factor_whose_sites_were_planted(planted):
    """TGACTCA and TGAGTCA are AP-1's: FOS and JUN carry the most weight of 12 motifs."""
    sequences, labels = planted
    motifs = [m for m in read_motifs() if m.name in ("FOS", "JUNB")] + read_motifs()[:10]
    scores = cross_val_predict(motif_logistic(1e-2, motifs), sequences, labels, cv=5, method="predict_proba")
    assert roc_auc_score(labels, scores[:, 1]) > 0.9
    weights = motif_weights(motif_logistic(1e-2, motifs).fit(sequences, labels), motifs)
    assert set(weights.name[:2]) == {"FOS", "JUNB"} and weights.weight.is_monotonic_decreasing


def test_motifs_beside_kmers_weigh_what_they_are_given(planted):
    """Rows of k-mers have length 1 for each k, those of motifs `weight`; without any it is k-mers alone."""
    sequences, labels = planted
    model = motif_and_kmer_logistic([2, 3], 0.3, 0.7, read_motifs()[:5]).fit(sequences, labels)
    rows = model["features"].transform(sequences).toarray()
    assert np.square(rows[:, :80]).sum(1) == pytest.approx(np.full(160, 2.0))
    assert np.square(rows[:, 80:]).sum(1).mean() == pytest.approx(0.7**2)
    alone = motif_and_kmer_logistic([2, 3], 0.3, 0.0, read_motifs()[:5]).fit(sequences, labels)
    kmers = kmer_logistic([2, 3], 0.3).fit(sequences, labels)
    assert alone.predict_proba(sequences) == pytest.approx(kmers.predict_proba(sequences), abs=1e-6)


def test_the_seed_of_boosting_matters(planted):
    sequences, labels = planted
    one, other = (
        kmer_boosting(k=2, trees=5, seed=seed).fit(sequences, labels).predict_proba(sequences)
        for seed in (0, 1)
    )
    assert (one != other).any()


def test_k_is_chosen_by_validation_auc(planted):
    sequences, labels = planted
    train, valid = (sequences[:100], labels[:100]), (sequences[100:], labels[100:])
    k, aucs = choose_k(*train, *valid, ks=(7, 1, 3))
    assert list(aucs) == [7, 1, 3]
    for candidate, auc in aucs.items():
        assert auc == roc_auc_score(
            valid[1], kmer_logistic(candidate).fit(*train).predict_proba(valid[0])[:, 1]
        )
    assert aucs[k] == max(aucs.values()) > 0.9 and k != 1
    with pytest.raises(ValueError, match="ks is empty"):
        choose_k(*train, *valid, ks=())


@pytest.mark.parametrize("ks", [(2, 3, 1), (3, 1, 2)])
def test_of_equally_good_k_the_first_is_chosen(ks):
    sequences = random_sequences(10, 60, 0, gc=0.1) + random_sequences(10, 60, 1, gc=0.9)
    labels = [0] * 10 + [1] * 10
    k, aucs = choose_k(sequences, labels, sequences, labels, ks)
    assert set(aucs.values()) == {1.0} and k == ks[0]


@pytest.mark.parametrize(
    "make",
    [
        gc_baseline,
        composition_baseline,
        kmer_logistic,
        lambda: kmer_boosting(k=3, trees=20),
        lambda: motif_logistic(motifs=read_motifs()[:8]),
        lambda: motif_and_kmer_logistic([2, "101"], 0.15, motifs=read_motifs()[:8]),
    ],
)
def test_predictions_are_probabilities_the_same_on_both_strands_and_in_every_run(make, planted):
    sequences, labels = planted
    model = make().fit(sequences, labels)
    p = model.predict_proba(sequences)
    assert p.shape == (len(sequences), 2) and np.allclose(p.sum(axis=1), 1)
    assert (model.predict_proba([naive.reverse_complement(s) for s in sequences]) == p).all()
    assert (model.predict_proba([s.lower() for s in sequences]) == p).all()
    assert (clone(model).fit(sequences, labels).predict_proba(sequences) == p).all()


def test_ambiguous_letters_and_other_lengths_are_taken(planted):
    model = kmer_logistic().fit(*planted)
    plain, split = model.predict_proba(["TGACTCA", "TGACTCANNNNNRY"])
    assert (plain == split).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gc_fractions(["ACGT", "NNN"]), "sequence 1 has no letter"),
        (lambda: gc_fractions(["ACGT", ""]), "sequence 1 has no letter"),
        (lambda: gc_fractions("ACGT"), "single text"),
        (lambda: kmer_logistic().fit(["ACGTACGT", None], [0, 1]), "sequence 1 is of type NoneType"),
    ],
)
def test_sequences_without_an_answer_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Markov chains of the classes


def naive_chain(sequences, order, weight):
    """p(base | context) of an interpolated chain counted on both strands, by recursion on a dictionary."""
    counts = Counter(
        kmer[-n:]
        for s in sequences
        for strand in (s, reverse_complement(s))
        for kmer in kmers(strand, order + 1)
        for n in range(1, order + 2)
    )

    def probability(window):
        if not window:
            return 0.25
        total = sum(counts[window[:-1] + base] for base in "ACGT")
        return (counts[window] + weight * probability(window[1:])) / (total + weight)

    return probability


@pytest.mark.parametrize("order", [0, 2, 3])
def test_class_chains_are_the_log_likelihood_ratio_of_two_chains(order):
    sequences = random_sequences(6, 50, 0, gc=0.4) + random_sequences(7, 40, 1, gc=0.6)
    labels = [0] * 6 + [1] * 7
    chains = [
        naive_chain([s for s, y in zip(sequences, labels) if y == label], order, 9.0) for label in (0, 1)
    ]
    asked = [*sequences, "ACGTNACGTTACNNNGGTA", random_sequences(1, 30, 2)[0]]
    expected = []
    for sequence in asked:
        windows = [w for strand in (sequence, reverse_complement(sequence)) for w in kmers(strand, order + 1)]
        expected.append(np.mean([np.log(chains[1](w)) - np.log(chains[0](w)) for w in windows]))
    got = ClassChains(order, 9.0).fit(sequences, labels).transform(asked)
    assert got.shape == (len(asked), 1)
    np.testing.assert_allclose(got[:, 0], expected, atol=1e-12)
    np.testing.assert_allclose(
        ClassChains(order, 9.0).fit(sequences, labels).transform([reverse_complement(s) for s in asked]),
        got,
        atol=1e-12,
    )


def test_the_share_of_repeats_ranks_sequences_whichever_class_has_more():
    shares, labels = [0.0, 0.1, 0.3, 0.6, 0.8, 1.0], [1, 1, 1, 0, 0, 0]
    p = repeat_baseline().fit(shares, labels).predict_proba(shares)[:, 1]
    assert (np.diff(p) < 0).all() and p[2] > 0.5 > p[3]
    p = repeat_baseline().fit(shares, [1 - y for y in labels]).predict_proba(shares)[:, 1]
    assert (np.diff(p) > 0).all()


def test_markov_baseline_tells_chains_of_equal_composition_apart():
    """Both classes have the same bases; what differs is which follows which."""
    rng = np.random.default_rng(0)
    classes = [
        ["".join(rng.choice(words, 60)) for _ in range(80)] for words in (["CAA", "TTC"], ["ACA", "CTT"])
    ]
    sequences, labels = classes[0] + classes[1], [0] * 80 + [1] * 80
    train = [i for i in range(160) if i % 2]
    model = markov_baseline(2).fit([sequences[i] for i in train], [labels[i] for i in train])
    test = [i for i in range(160) if not i % 2]
    assert (
        roc_auc_score([labels[i] for i in test], model.predict_proba([sequences[i] for i in test])[:, 1])
        > 0.99
    )


@pytest.mark.parametrize("labels", [[1, 1], [0, 0], [0, 2]])
def test_class_chains_refuse_labels_of_one_class_or_others(labels):
    with pytest.raises(ValueError, match="must be 0 and 1, both of them"):
        ClassChains(1).fit(["ACGT", "GGCA"], labels)


def test_the_notebooks_say_what_the_rows_say():
    """The first cells of Enhancers 0 and 4 give AUCs of `pilot`."""
    root = Path(__file__).resolve().parents[1]
    rows = select(
        read_results(root / "results/enhancers.csv"),
        profile="pilot", species="Human", split="folds", fold="oof", trial="", settings="", seed=0,
    )  # fmt: skip
    said = {"0 Data Processing": ["gc"], "4 Baselines": ["gc", "gapped_kmer_logistic"]}
    for name, models in said.items():
        path = root / f"Enhancer Classification/Mammals Enhancers {name}.ipynb"
        text = json.loads(path.read_text())["cells"][0]["source"]
        for model in models:
            assert f"{select(rows, model=model).auroc.item():.3f}" in "".join(text), (name, model)
