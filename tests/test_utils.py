"""utils.py against naive tokenizing, reading and scoring, on tiny networks in float32."""

import itertools
import json
import math
import os
import random
from contextlib import nullcontext
from types import SimpleNamespace

import fastai.callback.schedule  # noqa: F401  (adds fit_one_cycle)
import naive
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from genomic_ulmfit import learners, saved_models
from genomic_ulmfit.allowed import DROPOUTS
from genomic_ulmfit.awd_lstm import Classifier, layer_groups
from genomic_ulmfit.baselines import kmer_logistic
from genomic_ulmfit.genome import encode_bases, reverse_complement
from genomic_ulmfit.kmer_start import KmerLogOdds
from genomic_ulmfit.learners import (
    SCALES,
    classifier_learner,
    default_scale,
    evaluate_language_model,
    language_model_learner,
    new_language_model,
    predict_probabilities,
    run_facts,
    seed_everything,
    sizes_of,
)
from genomic_ulmfit.saved_models import load_classifier, load_language_model, save_model
from utils import KmerTokenizer, LanguageModelLoader, SequenceLoader, sequence_corpus

usual = settings(deadline=None, max_examples=60)
few = settings(deadline=None, max_examples=25)

TINY = dict(embedding=8, hidden=12, layers=2)


def random_text(n: int, seed: int, letters="ACGT") -> str:
    return "".join(random.Random(seed).choices(letters, k=n))


def naive_ids(text: str, k: int, stride: int) -> list[int]:
    """Slices looked up in a dictionary of all k-mers in lexicographic order."""
    vocabulary = (
        {"".join(kmer): i for i, kmer in enumerate(itertools.product("ACGT", repeat=k), 1)} if k < 7 else None
    )
    kmers = [text[i : i + k] for i in range(0, len(text) - k + 1, stride)]
    if vocabulary:
        return [vocabulary.get(kmer, 0) for kmer in kmers]
    return [
        1 + int(kmer.translate(str.maketrans("ACGT", "0123")), 4) if set(kmer) <= set("ACGT") else 0
        for kmer in kmers
    ]


@st.composite
def tokenizers(draw, largest=8):
    k = draw(st.integers(1, largest))
    return KmerTokenizer(k, draw(st.integers(1, k)))


def tiny_model(tokenizer, predicts="bases", contexts=(), seed=0):
    """An untrained float32 model with contexts that already say something."""
    seed_everything(seed)
    model = new_language_model(tokenizer, predicts=predicts, contexts=contexts, **TINY)
    model.encoder.bf16 = False
    for table in model.encoder.embedding.contexts.values():
        torch.nn.init.normal_(table.weight, 0, 0.3)
    return model.eval()


def tiny_classifier(tokenizer, contexts=(), seed=0):
    """A float32 classifier whose batch normalisation has its own statistics, so answers differ."""
    encoder = tiny_model(tokenizer, contexts=contexts, seed=seed).encoder
    sequences = [encode_bases(random_text(30, i)) for i in range(4)]
    loader = SequenceLoader(sequences, [0, 1, 0, 1], tokenizer)
    model = classifier_learner(encoder, loader, loader, drop_mult=0.0).model
    model.train()
    for _ in range(30):
        with torch.no_grad():
            model(next(iter(loader))[0])
    return model.eval()


# --- Tokenizer ----------------------------------------------------------------------------------------------


@usual
@given(tokenizers(), st.text("ACGT", max_size=60) | st.text("ACGTNry", max_size=60))
def test_encode_is_slicing_and_looking_up(tokenizer, text):
    codes = encode_bases(text.replace("r", "N").replace("y", "N"))
    codes.flags.writeable = False  # as a memory map is
    ids = tokenizer.encode(codes)
    expected = naive_ids(text, tokenizer.k, tokenizer.stride)
    assert ids.tolist() == expected
    assert tokenizer.n_tokens(len(text)) == len(expected)
    assert ids.dtype == (np.uint16 if tokenizer.k <= 7 else np.int32)
    kmers = [text[i * tokenizer.stride :][: tokenizer.k] for i in range(len(ids))]
    assert tokenizer.decode(ids) == [kmer if set(kmer) <= set("ACGT") else "pad" for kmer in kmers]


@few
@given(tokenizers(), st.integers(0, 4), st.integers(0, 40), st.integers(0, 99))
def test_encode_takes_rows(tokenizer, rows, n_bases, seed):
    codes = np.random.default_rng(seed).integers(0, 5, (2, rows, n_bases)).astype(np.uint8)
    ids = tokenizer.encode(codes)
    assert ids.shape == (2, rows, tokenizer.n_tokens(n_bases))
    for index in np.ndindex(2, rows):
        assert (ids[index] == tokenizer.encode(codes[index])).all()


@pytest.mark.parametrize("k", [1, 2, 3, 8, 12])
def test_vocabulary_is_pad_and_all_kmers_in_order(k):
    tokenizer = KmerTokenizer(k, 1)
    assert tokenizer.vocab_size == 4**k + 1
    first, last = tokenizer.decode([0, 1, 4**k])[1:]
    assert (first, last) == ("A" * k, "T" * k)
    assert tokenizer.encode(encode_bases(first)) == [1] and tokenizer.encode(encode_bases(last)) == [4**k]
    if k <= 3:
        assert tokenizer.decode(range(4**k + 1)) == [
            "pad",
            *("".join(kmer) for kmer in itertools.product("ACGT", repeat=k)),
        ]


@pytest.mark.parametrize(
    "k, stride, message",
    [
        (3, 4, "STRIDE=4"),
        (3, 0, "STRIDE=0"),
        (3, -1, "STRIDE=-1"),
        (0, 0, "K=0"),
        (13, 1, "K=13"),
        (-2, 1, "K=-2"),
    ],
)
def test_impossible_k_and_stride_are_refused(k, stride, message):
    with pytest.raises(ValueError, match=message):
        KmerTokenizer(k, stride)


# --- Language-model loader ----------------------------------------------------------------------------------

TEXTS = {"human": random_text(2500, 2), "gorilla": random_text(1500, 1002)}
BASES = {species: encode_bases(text) for species, text in TEXTS.items()}


def segment_table(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["species", "start", "end"])


@st.composite
def segment_tables(draw):
    """One to four segments, apart or touching: shorter than a k-mer, or many blocks long."""
    rows = []
    for species, text in TEXTS.items():
        cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4, unique=True)))
        rows += [(species, a, b) for a, b in zip(cuts, cuts[1:])]
    assume(rows)
    return segment_table(*draw(st.permutations(rows)))


loader_settings = st.fixed_dictionaries(
    {"rows": st.integers(1, 5), "bptt": st.integers(2, 40), "windows": st.integers(1, 4)}
)


def rows_of(loader) -> tuple[list[list[int]], list[list[int]]]:
    """All rows (x, y) of an epoch, their windows joined."""
    xs, ys, batches = [], [], list(loader)
    assert batches and len(batches) % loader.windows == 0
    for i in range(0, len(batches), loader.windows):
        x, y = (torch.cat(parts, 1) for parts in zip(*batches[i : i + loader.windows]))
        xs, ys = xs + x.tolist(), ys + y.tolist()
    return xs, ys


def naive_row(text: str, tokenizer: KmerTokenizer, width: int) -> tuple[list[int], list[int]]:
    """A block as x and y: pad, k-mers, pads; its first k-mer is no target."""
    ids = naive_ids(text, tokenizer.k, tokenizer.stride)
    ids = [0, *ids] + [0] * (width - len(ids))
    return ids[:-1], [0, *ids[2:]]


def naive_blocks(segments: pd.DataFrame, block: int, stride: int) -> list[str]:
    """Cut every `block` bases; a segment whose last bases are too few for one more k-mer stays whole."""
    texts = [TEXTS[s.species][s.start : s.end] for s in segments.itertuples()]
    return [
        text[i : i + block] if len(text) >= block + stride else text
        for text in texts
        for i in range(0, len(text) if len(text) >= block + stride else 1, block)
    ]


@few
@given(segment_tables(), tokenizers(4), loader_settings, st.booleans())
def test_in_order_every_segment_is_read_block_by_block(segments, tokenizer, sizes, backwards):
    loader = LanguageModelLoader(BASES, segments, tokenizer, backwards=backwards, **sizes)
    width = sizes["windows"] * sizes["bptt"]
    block = (width - 1) * tokenizer.stride + tokenizer.k  # bases of `width` tokens
    pieces = [
        piece[::-1] if backwards else piece for piece in naive_blocks(segments, block, tokenizer.stride)
    ]
    expected = [naive_row(piece, tokenizer, width) for piece in pieces]
    for _ in range(2):  # the same in every epoch
        assert list(zip(*rows_of(loader))) == expected


@few
@given(segment_tables(), tokenizers(4), loader_settings, st.booleans())
def test_batches_have_the_promised_form(segments, tokenizer, sizes, shuffle):
    loader = LanguageModelLoader(BASES, segments, tokenizer, shuffle=shuffle, **sizes)
    announced = len(loader)
    batches = list(loader)
    assert announced == len(batches)
    for i, (x, y) in enumerate(batches):
        assert x.dtype == y.dtype == torch.int64 and x.shape == y.shape
        assert 1 <= len(x) <= sizes["rows"] and x.shape[1] == sizes["bptt"]
        assert torch.equal(y[:, :-1], x[:, 1:]) or i % sizes["windows"] == 0
        if i % sizes["windows"] == 0:
            assert (x[:, 0] == 0).all() and (y[:, 0] == 0).all() and torch.equal(y[:, 1:-1], x[:, 2:])
        if (i + 1) % sizes["windows"]:
            assert torch.equal(batches[i + 1][0][:, 0], y[:, -1])


# Every 12-mer of both strands of TEXTS lies at one place, so that a k-mer tells where it was read.
UNIQUE = KmerTokenizer(12, 1)


def places() -> dict[str, tuple[str, int, int]]:
    found = {}
    for species, text in TEXTS.items():
        for strand, read in enumerate((text, naive.reverse_complement(text))):
            for i in range(len(text) - 11):
                found[read[i : i + 12]] = species, len(text) - 12 - i if strand else i, strand
    return found


PLACES = places()


def test_the_texts_tell_places_apart():
    assert len(PLACES) == 2 * sum(len(text) - 11 for text in TEXTS.values())


def place_of_row(tokens: list[int]) -> tuple[str, int, int] | None:
    """Species, start and end of the one gapless stretch of one strand that a row of tokens reads.

    None if it has no k-mer.
    """
    read = [PLACES[kmer] for kmer in UNIQUE.decode(tokens) if kmer != "pad"]
    if not read:
        return None
    (species, first, strand), (_, last, _) = read[0], read[-1]
    step = -1 if strand else 1
    assert read == [(species, first + step * i, strand) for i in range(len(read))]
    return species, min(first, last), max(first, last) + 12


@few
@given(segment_tables(), loader_settings, st.integers(0, 99))
def test_shuffled_passes_read_every_base_once_and_cross_no_border(segments, sizes, seed):
    sizes["bptt"] += 20  # not too many blocks
    loader = LanguageModelLoader(BASES, segments, UNIQUE, shuffle=True, seed=seed, **sizes)
    first, second = (len(loader.blocks(number)[0]) for number in (0, 1))
    rows = []
    # Epochs are of a fixed number of blocks: read on until two whole passes are through.
    while len(rows) < first + second:
        rows += zip(*rows_of(loader))
    borders = {(s.species, i) for s in segments.itertuples() for i in (s.start, s.end)}
    for rows_of_pass in (rows[:first], rows[first : first + second]):
        found = [place_of_row([*x[1:], y[-1]]) for x, y in rows_of_pass]
        stretches = sorted(place for place in found if place)
        for (species, _, end), (next_species, start, _) in zip(stretches, stretches[1:]):
            assert species != next_species or end <= start
        for species, start, end in stretches:
            assert (
                (segments.species == species) & (segments.start <= start) & (end <= segments.end)
            ).sum() == 1
            assert not any((species, i) in borders for i in range(start + 1, end))
        unread = (segments.end - segments.start).sum() - sum(end - start for _, start, end in stretches)
        assert 0 <= unread <= 11 * found.count(None)  # blocks shorter than a k-mer


@pytest.mark.parametrize("backwards", [False, True])
def test_epochs_go_on_where_the_last_one_stopped(backwards):
    segments = segment_table(("human", 0, 2500), ("gorilla", 100, 1400))
    tokenizer, sizes = KmerTokenizer(4, 2), dict(rows=3, bptt=20, windows=2)
    block = 39 * 2 + 4
    loader = LanguageModelLoader(
        BASES,
        segments,
        tokenizer,
        shuffle=True,
        epoch_bases=10 * block + 5,
        seed=5,
        backwards=backwards,
        **sizes,
    )
    reference = LanguageModelLoader(BASES, segments, tokenizer, shuffle=True, seed=5, **sizes)
    stream = []
    for number in range(3):
        for genome, start, length, strand in zip(*reference.blocks(number)):
            text = list(TEXTS.values())[genome][start : start + length]
            text = naive.reverse_complement(text) if strand else text
            stream.append(naive_row(text[::-1] if backwards else text, tokenizer, 40))
    for epoch in range(12):  # more than two passes of about 47 blocks
        assert len(loader) == 4 * 2  # 10 blocks in batches of 3, of two windows each
        assert list(zip(*rows_of(loader))) == stream[10 * epoch : 10 * (epoch + 1)]


@few
@given(segment_tables(), st.integers(0, 9), st.integers(0, 3), st.integers(3, 300))
def test_blocks_of_a_pass_tile_the_segments(segments, seed, number, bptt):
    tokenizer = KmerTokenizer(3, 2)
    loader = LanguageModelLoader(BASES, segments, tokenizer, shuffle=True, seed=seed, bptt=bptt, windows=1)
    genome, start, length, strand = loader.blocks(number)
    block = (bptt - 1) * 2 + 3
    assert ((1 <= length) & (length < block + tokenizer.stride)).all() and set(strand) <= {0, 1}
    cuts = sorted(zip(genome, start, start + length))
    for species, low, high in segments.itertuples(index=False):
        own = [(a, b) for g, a, b in cuts if g == list(TEXTS).index(species) and low <= a < high]
        assert own[0][0] == low and own[-1][1] == high and all(a[1] == b[0] for a, b in zip(own, own[1:]))
        if high - low < block + tokenizer.stride:
            assert own == [(low, high)]  # what has no more k-mers than a block is never cut
    assert len(cuts) == len(set(cuts))


def test_passes_differ_in_order_cuts_and_strand_and_mix_species():
    segments = segment_table(("human", 0, 2500), ("gorilla", 0, 1500))
    loader = LanguageModelLoader(BASES, segments, KmerTokenizer(3, 1), shuffle=True, bptt=20, windows=1)
    first, second = loader.blocks(0), loader.blocks(1)
    assert set(first[1]) != set(second[1])
    assert list(first[1]) != sorted(first[1])
    strands = np.concatenate([loader.blocks(i)[3] for i in range(10)])
    assert 0.45 < strands.mean() < 0.55  # of about 2,000 blocks
    assert set(first[0][:20]) == {0, 1}


def same_batches(a, b) -> bool:
    a, b = list(a), list(b)
    return len(a) == len(b) and all(torch.equal(p, q) for x, y in zip(a, b) for p, q in zip(x, y))


def test_the_seed_decides_the_shuffled_batches():
    segments = segment_table(("human", 0, 2500), ("gorilla", 0, 1500))

    def loader(seed):
        return LanguageModelLoader(
            BASES, segments, KmerTokenizer(3, 1), shuffle=True, seed=seed, rows=4, bptt=20, windows=2
        )

    one, two, other = loader(1), loader(1), loader(2)
    np.random.seed(3)  # whatever else draws random numbers
    assert same_batches(one, two)
    assert same_batches(one, two)  # the second epoch too
    assert not same_batches(loader(1), other)
    assert not same_batches(one, loader(1))


def test_epoch_bases_without_shuffling_spreads_the_same_blocks_evenly():
    segments, tokenizer = segment_table(("human", 0, 2500), ("gorilla", 0, 1500)), KmerTokenizer(3, 1)
    whole = LanguageModelLoader(BASES, segments, tokenizer, rows=4, bptt=25, windows=2)
    part = LanguageModelLoader(BASES, segments, tokenizer, rows=4, bptt=25, windows=2, epoch_bases=520)
    every, some = rows_of(whole)[0], rows_of(part)[0]
    assert len(some) == 520 // (49 + 3)
    chosen = [every.index(row) for row in some]
    assert chosen[0] == 0 and chosen[-1] == len(every) - 1
    assert max(np.diff(chosen)) - min(np.diff(chosen)) <= 1
    assert rows_of(part)[0] == some


def test_memory_mapped_bases_are_read_as_arrays_are(tmp_path):
    segments, mapped = segment_table(("human", 3, 2500), ("gorilla", 0, 1500)), {}
    for species, codes in BASES.items():
        codes.tofile(tmp_path / species)
        mapped[species] = np.memmap(tmp_path / species, np.uint8, "r")
    loaders = [
        LanguageModelLoader(b, segments, KmerTokenizer(4, 2), shuffle=True, rows=4, bptt=20, windows=2)
        for b in (BASES, mapped)
    ]
    assert same_batches(*loaders)
    assert all((mapped[s] == BASES[s]).all() for s in BASES)


def test_nothing_to_read_is_refused():
    with pytest.raises(ValueError, match="no segments"):
        LanguageModelLoader(BASES, segment_table(), KmerTokenizer(3, 1))
    with pytest.raises(ValueError, match="bonobo"):
        LanguageModelLoader(BASES, segment_table(("bonobo", 0, 10)), KmerTokenizer(3, 1))


def test_sequence_corpus_keeps_each_sequence_apart():
    texts = ["ACGTA", "G", "TTNGT"]
    bases, segments = sequence_corpus([encode_bases(t) for t in texts], "Mouse")
    assert [bases[s.species][s.start : s.end].tolist() for s in segments.itertuples()] == [
        encode_bases(t).tolist() for t in texts
    ]
    assert list(bases) == ["Mouse"] and segments.species.eq("Mouse").all()


# --- Sequence loader and predictions ------------------------------------------------------------------------

sequence_lists = st.lists(st.text("ACGTN", min_size=4, max_size=40), min_size=1, max_size=12)


@few
@given(sequence_lists, st.integers(1, 5), tokenizers(4), st.booleans())
def test_sequences_are_padded_on_the_right_in_order(texts, batch_size, tokenizer, backwards):
    labels = [i % 2 for i in range(len(texts))]
    loader = SequenceLoader(
        [encode_bases(t) for t in texts],
        labels,
        tokenizer,
        batch_size=batch_size,
        backwards=backwards,
        reverse_complement_half=True,
    )  # which only shuffling loaders obey
    batches = list(loader)
    assert len(batches) == len(loader) and torch.cat([y for _, y in batches]).tolist() == labels
    read = [naive_ids(t[::-1] if backwards else t, tokenizer.k, tokenizer.stride) for t in texts]
    position = 0
    for ids, _ in batches:
        assert len(ids) <= batch_size and ids.dtype == torch.int64
        assert ids.shape[1] == 1 + max(len(r) for r in read[position : position + len(ids)])
        for row in ids.tolist():
            expected = [0, *read[position]]
            assert row == expected + [0] * (len(row) - len(expected))
            position += 1
    assert position == len(texts)


def test_no_training_batch_holds_a_single_sequence():
    sequences = [encode_bases(random_text(20, i)) for i in range(65)]
    loader = SequenceLoader(sequences, np.arange(65) % 2, KmerTokenizer(3, 1), batch_size=64, shuffle=True)
    assert min(len(y) for _, y in loader) > 1


@pytest.mark.parametrize("augment", [False, True])
def test_shuffling_and_augmentation_are_seeded_and_only_done_when_asked_for(augment):
    tokenizer, texts = KmerTokenizer(3, 1), [random_text(12, i) for i in range(40)]
    sequences = [encode_bases(t) for t in texts]
    before = [s.copy() for s in sequences]

    def loader(seed):
        return SequenceLoader(
            sequences,
            range(40),
            tokenizer,
            batch_size=7,
            shuffle=True,
            reverse_complement_half=augment,
            seed=seed,
        )

    one, two = loader(1), loader(1)
    orders = []
    for _ in range(2):
        epoch = list(one)
        assert same_batches(epoch, two)
        labels, ids = torch.cat([y for _, y in epoch]).tolist(), torch.cat([x for x, _ in epoch]).tolist()
        assert sorted(labels) == list(range(40))
        orders.append(labels)
        flipped = 0
        for label, row in zip(labels, ids):
            plus, minus = (
                [0, *naive_ids(t, 3, 1)] for t in (texts[label], naive.reverse_complement(texts[label]))
            )
            assert row in (plus, minus)
            flipped += row != plus
        assert 8 < flipped < 32 if augment else flipped == 0
    assert orders[0] != orders[1] and orders[0] != list(range(40))
    assert not same_batches(loader(1), loader(2))
    assert all((a == b).all() for a, b in zip(before, sequences))


def test_sequences_that_cannot_be_used_are_named():
    tokenizer = KmerTokenizer(5, 2)
    with pytest.raises(ValueError, match="sequence 1 .* 4 bases, fewer than K=5"):
        SequenceLoader([encode_bases("ACGTACGT"), encode_bases("ACGT")], [0, 1], tokenizer)
    with pytest.raises(ValueError, match="2 sequences and 3 labels"):
        SequenceLoader([encode_bases("ACGTACGT")] * 2, [0, 1, 1], tokenizer)
    with pytest.raises(ValueError, match="0 sequences"):
        SequenceLoader([], [], tokenizer)


@pytest.mark.parametrize("tokenizer, contexts", [(KmerTokenizer(3, 1), ()), (KmerTokenizer(4, 2), (6, 10))])
def test_predictions_do_not_depend_on_batches_order_or_strand(tokenizer, contexts):
    model = tiny_classifier(tokenizer, contexts)
    sequences = [encode_bases(random_text(n, n, "ACGTACGTN")) for n in (40, 7, 90, 23, 55, 8, 31)]
    predicted = predict_probabilities(model, sequences, tokenizer)
    assert predicted.dtype == np.float64 and predicted.shape == (7,) and np.ptp(predicted) > 1e-3

    one_strand = []
    for s in sequences:  # one at a time, without a loader
        ids = torch.tensor([[0, *tokenizer.encode(s).tolist()]])
        with torch.no_grad():
            logits = model(ids)[0][0].double().numpy()
        one_strand.append(1 / (1 + math.exp(logits[0] - logits[1])))
    close = dict(atol=1e-6, rtol=0)
    np.testing.assert_allclose(
        predict_probabilities(model, sequences, tokenizer, both_strands=False), one_strand, **close
    )
    minus = [reverse_complement(s) for s in sequences]
    both = [predict_probabilities(model, s, tokenizer, both_strands=False) for s in (sequences, minus)]
    np.testing.assert_allclose(predicted, np.mean(both, 0), **close)
    assert np.abs(both[0] - both[1]).max() > 1e-4
    np.testing.assert_allclose(predict_probabilities(model, minus, tokenizer), predicted, **close)
    np.testing.assert_allclose(
        predict_probabilities(model, sequences[::-1], tokenizer), predicted[::-1], **close
    )
    for batch_size in (1, 2, 3):
        np.testing.assert_allclose(
            predict_probabilities(model, sequences, tokenizer, batch_size=batch_size), predicted, **close
        )
    reversed_bases = predict_probabilities(model, [s[::-1] for s in sequences], tokenizer, backwards=True)
    np.testing.assert_allclose(reversed_bases, predicted, **close)


def test_a_sequence_without_a_clean_kmer_gets_a_probability():
    model = tiny_classifier(KmerTokenizer(3, 1))
    predicted = predict_probabilities(
        model, [encode_bases("N" * 20), encode_bases("ACGTTGCA")], KmerTokenizer(3, 1)
    )
    assert ((0 < predicted) & (predicted < 1)).all()


# --- Language models: building and scoring ------------------------------------------------------------------


@pytest.mark.parametrize(
    "k, stride, predicts, contexts",
    [(3, 1, "bases", ()), (4, 2, "bases", (6, 10)), (3, 2, "kmer", ()), (3, 3, "kmer", (6,))],
)
def test_evaluation_scores_every_target_exactly(k, stride, predicts, contexts):
    tokenizer = KmerTokenizer(k, stride)
    model = tiny_model(tokenizer, predicts, contexts)
    texts = [random_text(n, n, "ACGT" * 8 + "N") for n in (700, 5, 33, 2, 150)]
    bases, segments = sequence_corpus([encode_bases(t) for t in texts])
    loader = LanguageModelLoader(bases, segments, tokenizer, rows=3, bptt=10_000, windows=1)
    found = evaluate_language_model(model, loader)

    nats, hits = [], 0
    for text in texts:  # each alone, without padding
        ids = naive_ids(text, k, stride)
        if len(ids) < 2:
            continue
        with torch.no_grad():
            logits = model(torch.tensor([[0, *ids[:-1]]]))[0][0, 1:].double().numpy()
        model.reset()
        for target, scores in zip(ids[1:], logits):
            if target:
                wanted = target if predicts == "kmer" else (target - 1) % 4**stride
                nats.append(math.log(np.exp(scores).sum()) - scores[wanted])
                hits += scores.argmax() == wanted
    assert found["n_valid_tokens"] == len(nats)
    assert found["valid_loss"] == pytest.approx(np.mean(nats), rel=1e-5)
    assert found["accuracy"] == pytest.approx(hits / len(nats))
    assert found["perplexity"] == pytest.approx(math.exp(np.mean(nats)), rel=1e-4)
    assert found["bits_per_base"] == pytest.approx(np.mean(nats) / math.log(2) / stride, rel=1e-5)
    again = evaluate_language_model(
        model, LanguageModelLoader(bases, segments, tokenizer, rows=2, bptt=10_000, windows=1)
    )
    assert again == pytest.approx(found, rel=1e-5)
    assert model.state is None


def test_evaluation_in_windows_is_evaluation_of_whole_blocks():
    tokenizer = KmerTokenizer(4, 2)
    model, segments = (
        tiny_model(tokenizer, contexts=(8,)),
        segment_table(("human", 0, 2500), ("gorilla", 10, 1400)),
    )
    scores = [
        evaluate_language_model(
            model, LanguageModelLoader(BASES, segments, tokenizer, rows=4, bptt=bptt, windows=120 // bptt)
        )
        for bptt in (10, 120)
    ]
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


def test_scores_and_predictions_are_made_without_dropout():
    tokenizer, sequences = KmerTokenizer(3, 1), [encode_bases(random_text(30, i)) for i in range(3)]
    model, classifier = tiny_model(tokenizer), tiny_classifier(tokenizer)
    loader = LanguageModelLoader(BASES, segment_table(("human", 0, 2500)), tokenizer, bptt=50, windows=2)

    def results():
        return evaluate_language_model(model, loader), predict_probabilities(
            classifier, sequences, tokenizer
        ).tolist()

    expected = results()
    for network, stage in ((model, "language_model"), (classifier, "classifier")):
        network.encoder.set_dropouts(stage, 1.0)
        network.train()
    assert results() == expected


def test_nothing_to_score_is_refused():
    tokenizer = KmerTokenizer(3, 1)
    with pytest.raises(ValueError, match="nothing to score"):
        evaluate_language_model(
            tiny_model(tokenizer), LanguageModelLoader(BASES, segment_table(("human", 0, 3)), tokenizer)
        )


@pytest.mark.parametrize("k, stride", [(3, 1), (4, 2), (5, 5)])
def test_an_untrained_model_needs_two_bits_per_base(k, stride):
    tokenizer = KmerTokenizer(k, stride)
    seed_everything(0)
    model = new_language_model(tokenizer, **TINY)
    found = evaluate_language_model(
        model, LanguageModelLoader(BASES, segment_table(("human", 0, 2500)), tokenizer, bptt=50, windows=2)
    )
    assert found["bits_per_base"] == pytest.approx(2, abs=0.05)


def test_models_that_outgrow_memory_are_refused(monkeypatch):
    monkeypatch.setattr(learners.psutil, "virtual_memory", lambda: SimpleNamespace(available=10**6))
    new_language_model(KmerTokenizer(3, 1), **TINY)
    with pytest.raises(MemoryError, match=r"K=10 .* smaller K"):
        new_language_model(KmerTokenizer(10, 1), **TINY)
    with pytest.raises(MemoryError, match=r"contexts \[9\]"):
        new_language_model(KmerTokenizer(3, 1), contexts=[9], **TINY)


def test_batches_whose_scores_outgrow_memory_are_refused(monkeypatch):
    monkeypatch.setattr(learners.psutil, "virtual_memory", lambda: SimpleNamespace(available=10**8))
    tokenizer = KmerTokenizer(6, 1)
    bases, segments = sequence_corpus([encode_bases(random_text(100, 0))])
    loader = LanguageModelLoader(bases, segments, tokenizer, rows=32, bptt=256)
    for predicts, refused in (("bases", False), ("kmer", True)):
        with (
            pytest.raises(
                MemoryError, match=r"4,097 scores for each of 32 x 256 tokens take 0.5 GB.*PREDICTS"
            )
            if refused
            else nullcontext()
        ):
            language_model_learner(
                new_language_model(tokenizer, predicts=predicts, **TINY), loader, loader, drop_mult=0.1
            )


def test_seed_everything_seeds_every_generator():
    def draw():
        seed_everything(11)
        return random.random(), np.random.random(), torch.rand(1).item()

    assert draw() == draw()


def test_run_facts_say_what_numbers_depend_on(capsys, monkeypatch):
    monkeypatch.setenv("NOTEBOOKS_COMMAND", "make run PROFILE=pilot")
    facts = run_facts("pilot", "laptop", 7)
    line = capsys.readouterr().out
    assert set(facts) == {"device", "version", "command"} and all(facts.values())
    assert all(
        word in line
        for word in ("pilot", "laptop", "seed 7", torch.__version__, facts["device"], facts["version"])
    )
    assert facts["command"] == "make run PROFILE=pilot"
    monkeypatch.delenv("NOTEBOOKS_COMMAND")
    assert run_facts("pilot", "laptop", 7)["command"] == "in Jupyter"


@pytest.mark.parametrize("gpu, scale", [(True, "desktop"), (False, "laptop")])
def test_default_scale_follows_the_hardware(monkeypatch, gpu, scale):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert default_scale() == scale and sizes_of(scale) == SCALES[scale] and SCALES[scale]["layers"] == 3


def test_an_unknown_scale_is_refused():
    with pytest.raises(ValueError, match="SCALE='huge': use one of laptop, desktop, paper"):
        sizes_of("huge")


# --- Training -----------------------------------------------------------------------------------------------


def quiet_fit(learn, *arguments) -> None:
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(*arguments)


def train_language_model(
    seed=0, epochs=1, text=TEXTS["human"], predicts="bases", contexts=(6,), k=3, stride=1, **sizes
):
    tokenizer = KmerTokenizer(k, stride)
    seed_everything(seed)
    model = new_language_model(tokenizer, predicts=predicts, contexts=contexts, **TINY)
    bases, segments = {"human": encode_bases(text)}, segment_table(("human", 0, len(text)))
    sizes = dict(rows=8, bptt=25, windows=2) | sizes
    loaders = [
        LanguageModelLoader(bases, segments, tokenizer, shuffle=shuffle, seed=seed, **sizes)
        for shuffle in (True, False)
    ]
    learn = language_model_learner(model, *loaders, drop_mult=0.3)
    quiet_fit(learn, epochs, 1e-2)
    return learn, loaders[1]


def all_equal(one, two) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values()))


@pytest.mark.parametrize("predicts", ["bases", "kmer"])
def test_one_seed_trains_one_language_model_bit_for_bit(predicts):
    first, second, other = (train_language_model(seed, predicts=predicts)[0] for seed in (3, 3, 4))
    assert all_equal(first.model, second.model) and first.recorder.values == second.recorder.values
    assert not all_equal(first.model, other.model)


def test_a_language_model_learns_what_can_be_known():
    learn, valid = train_language_model(epochs=12, text="ACCGTGA" * 300)
    found = evaluate_language_model(learn.model, valid)
    # All but the first bases of a block follow from those before.
    assert found["bits_per_base"] < 0.6 and found["accuracy"] > 0.85


def test_the_learner_reports_what_evaluation_finds():
    learn, valid = train_language_model(bptt=30, windows=3, k=4, stride=2)
    found = evaluate_language_model(learn.model, valid)
    reported = dict(zip(learn.recorder.metric_names[1:], learn.recorder.values[-1]))
    assert reported["bits_per_base"] == pytest.approx(found["bits_per_base"], rel=1e-6)
    assert reported["accuracy"] == pytest.approx(found["accuracy"], rel=1e-6)


def test_recorded_losses_are_plain_numbers():
    """A tensor for each of a million steps holds on to far more memory than its four bytes."""
    learn, _ = train_language_model(bptt=30, windows=3)
    assert len(learn.recorder.losses) > 1 and all(type(loss) is float for loss in learn.recorder.losses)


def test_segments_that_leave_windows_empty_train_without_nan():
    learn, _ = train_language_model(text=TEXTS["human"][:300], bptt=80, windows=6)
    assert np.isfinite(learn.recorder.values).all()
    assert all(torch.isfinite(p).all() for p in learn.model.parameters())


def enhancer_learner(seed=0, drop_mult=0.1):
    """GC-rich sequences are positive; 65 of them, so that the last batch of 16 would be a single one."""
    tokenizer = KmerTokenizer(3, 1)
    labels = np.arange(65) % 2
    sequences = [
        encode_bases(random_text(int(30 + i % 5), i, "ACGT" + ("GC" if label else "AT")))
        for i, label in enumerate(labels)
    ]
    seed_everything(seed)
    encoder = new_language_model(tokenizer, **TINY).encoder
    train = SequenceLoader(
        sequences, labels, tokenizer, batch_size=16, shuffle=True, reverse_complement_half=True, seed=seed
    )
    return (
        classifier_learner(encoder, train, SequenceLoader(sequences, labels, tokenizer), drop_mult=drop_mult),
        sequences,
        labels,
    )


def test_a_classifier_learns_and_one_seed_trains_one_classifier():
    scores = []
    for seed in (1, 1, 2):
        learn, sequences, labels = enhancer_learner(seed)
        quiet_fit(learn, 4, 1e-2)
        scores.append(predict_probabilities(learn.model, sequences, KmerTokenizer(3, 1)))
        assert roc_auc_score(labels, scores[-1]) > 0.9
    assert (scores[0] == scores[1]).all() and (scores[0] != scores[2]).any()


def test_drop_mult_multiplies_the_dropouts_of_either_stage():
    model = train_language_model(epochs=0)[0].model
    assert model.encoder.weight_dropout == pytest.approx(0.3 * DROPOUTS["fastai"]["language_model"]["weight"])
    classifier = enhancer_learner(drop_mult=0.5)[0].model
    assert classifier.encoder.weight_dropout == pytest.approx(
        0.5 * DROPOUTS["fastai"]["classifier"]["weight"]
    )
    dropouts = [m.p for m in classifier.head.modules() if isinstance(m, torch.nn.Dropout)]
    assert dropouts[0] == pytest.approx(0.5 * DROPOUTS["fastai"]["classifier"]["output"])


@pytest.mark.parametrize("frozen_to, trained", [(-1, [3]), (-2, [2, 3]), (0, [0, 1, 2, 3])])
def test_freezing_trains_only_the_upper_layer_groups(frozen_to, trained):
    learn, _, _ = enhancer_learner()
    before = [[p.detach().clone() for p in group] for group in layer_groups(learn.model)]
    learn.freeze_to(frozen_to)
    quiet_fit(learn, 1, 1e-2)
    changed = [
        any(not torch.equal(p, q) for p, q in zip(group, old))
        for group, old in zip(layer_groups(learn.model), before)
    ]
    assert [i for i, c in enumerate(changed) if c] == trained


# --- Models on disk -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("predicts, contexts", [("bases", ()), ("kmer", ()), ("bases", (6, 10))])
def test_a_saved_language_model_gives_the_same_outputs(tmp_path, predicts, contexts):
    tokenizer = KmerTokenizer(4, 2)
    model = tiny_model(tokenizer, predicts, contexts)
    save_model(tmp_path / "new" / "folder", model, profile="simulated", bits_per_base=1.9)
    loaded, config = load_language_model(tmp_path / "new" / "folder", tokenizer)
    assert config["profile"] == "simulated" and config["bits_per_base"] == 1.9 and not loaded.training
    loaded.encoder.bf16 = False
    ids = torch.tensor([tokenizer.encode(BASES["human"][:100]).tolist()])
    assert torch.equal(loaded(ids)[0], model(ids)[0])
    if predicts == "kmer":
        assert loaded.decoder.weight is loaded.encoder.embedding.kmers.weight
    assert loaded.architecture == model.architecture
    found = sorted(p.name for p in (tmp_path / "new" / "folder").iterdir())
    assert found == ["config.json", "model.safetensors"]  # no pickle, nothing left over


def test_a_saved_classifier_gives_the_same_predictions(tmp_path):
    tokenizer = KmerTokenizer(3, 1)
    model = tiny_classifier(tokenizer, (5,))
    save_model(tmp_path, model, species="Mouse")
    loaded, config = load_classifier(tmp_path, tokenizer)
    loaded.encoder.bf16 = False
    sequences = [encode_bases(random_text(40, i)) for i in range(5)]
    assert (
        predict_probabilities(loaded, sequences, tokenizer)
        == predict_probabilities(model, sequences, tokenizer)
    ).all()
    assert config["species"] == "Mouse" and sorted(p.suffix for p in tmp_path.iterdir()) == [
        ".json",
        ".safetensors",
    ]


def test_models_of_another_k_stride_or_kind_are_refused(tmp_path):
    save_model(tmp_path, tiny_model(KmerTokenizer(4, 2)))
    for tokenizer in (KmerTokenizer(5, 2), KmerTokenizer(4, 1)):
        with pytest.raises(
            ValueError, match=f"k=4, stride=2; wanted .*k={tokenizer.k}, stride={tokenizer.stride}"
        ):
            load_language_model(tmp_path, tokenizer)
    with pytest.raises(ValueError, match="LanguageModel.*wanted a Classifier"):
        load_classifier(tmp_path, KmerTokenizer(4, 2))
    with pytest.raises(FileNotFoundError, match="no model in .*nowhere"):
        load_language_model(tmp_path / "nowhere", KmerTokenizer(4, 2))


@pytest.mark.parametrize("damage", ["flipped", "cut", "missing", "other"])
def test_damaged_weights_are_refused(tmp_path, damage):
    tokenizer = KmerTokenizer(3, 1)
    save_model(tmp_path, tiny_model(tokenizer))
    weights = tmp_path / "model.safetensors"
    content = bytearray(weights.read_bytes())
    if damage == "flipped":
        content[-5] ^= 1
    elif damage == "cut":
        del content[-100:]
    elif damage == "other":
        save_model(tmp_path / "other", tiny_model(tokenizer, seed=1))
        content = (tmp_path / "other" / "model.safetensors").read_bytes()
    weights.unlink()
    if damage != "missing":
        weights.write_bytes(content)
    with pytest.raises(ValueError, match="model.safetensors: missing, damaged"):
        load_language_model(tmp_path, tokenizer)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "{}",
        lambda text: text.replace('"embedding"', '"embeding"'),
        lambda text: text.replace('"bases"', '"codons"'),
        lambda text: text.replace('"hidden": 12', '"hidden": 13'),
        lambda text: text.replace('"layers": 2', '"layers": 3'),
        lambda text: text.replace('"hidden": 12', '"hidden": "12"'),
    ],
)
def test_damaged_descriptions_are_refused(tmp_path, change):
    tokenizer = KmerTokenizer(3, 1)
    save_model(tmp_path, tiny_model(tokenizer))
    config = tmp_path / "config.json"
    text = config.read_text()
    assert change(text) != text
    config.write_text(change(text))
    with pytest.raises(ValueError, match=f"{tmp_path}.*again"):
        load_language_model(tmp_path, tokenizer)


def crash(*_, **__):
    raise OSError(28, "No space left on device")


def crash_half_way(model, path):
    with open(path, "wb") as file:
        file.write(b"half")
    crash()


@pytest.mark.parametrize("older", [True, False])
@pytest.mark.parametrize(
    "module, name, stand_in",
    [(saved_models, "save_weights", crash_half_way), (json, "dumps", crash), (os, "replace", crash)],
)
def test_a_crash_while_saving_leaves_the_older_model(tmp_path, monkeypatch, module, name, stand_in, older):
    tokenizer = KmerTokenizer(3, 1)
    old, new = tiny_model(tokenizer), tiny_model(tokenizer, seed=1)
    if older:
        save_model(tmp_path, old, note="old")
    with monkeypatch.context() as patch:
        patch.setattr(module, name, stand_in)
        with pytest.raises(OSError, match="No space"):
            save_model(tmp_path, new, note="new")
    if not older:
        assert list(tmp_path.iterdir()) == []
        return
    loaded, config = load_language_model(tmp_path, tokenizer)
    assert all_equal(loaded, old) and config["note"] == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_weights_and_description_of_two_savings_are_never_mixed(tmp_path, monkeypatch):
    tokenizer, replace = KmerTokenizer(3, 1), os.replace
    save_model(tmp_path, tiny_model(tokenizer))

    def die_at_the_second(source, target):
        if str(target).endswith(".json"):
            crash()
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die_at_the_second)
        with pytest.raises(OSError, match="No space"):
            save_model(tmp_path, tiny_model(tokenizer, seed=1))
    with pytest.raises(ValueError, match="not the weights that config.json describes"):
        load_language_model(tmp_path, tokenizer)


def test_facts_may_be_called_like_the_arguments(tmp_path):
    save_model(tmp_path, tiny_model(KmerTokenizer(3, 1)), model="ulmfit", folder="any")
    config = load_language_model(tmp_path, KmerTokenizer(3, 1))[1]
    assert (config["model"], config["folder"]) == ("ulmfit", "any")


def test_facts_that_json_cannot_hold_leave_the_older_model(tmp_path):
    tokenizer = KmerTokenizer(3, 1)
    save_model(tmp_path, tiny_model(tokenizer), note="old")
    with pytest.raises(TypeError):
        save_model(tmp_path, tiny_model(tokenizer, seed=1), note={1, 2})
    assert load_language_model(tmp_path, tokenizer)[1]["note"] == "old"


@pytest.mark.parametrize("k, stride", [(5, 2), (4, 2), (3, 1), (6, 3), (8, 4), (1, 1)])
def test_sequences_whose_last_bases_make_no_kmer_are_not_cut_in_two(k, stride):
    """Fine-tuning reads whole sequences: one row each, whatever is left over after the last k-mer."""
    tokenizer = KmerTokenizer(k, stride)
    sequences = [np.random.default_rng(i).integers(0, 4, 500).astype(np.uint8) for i in range(6)]
    bases, segments = sequence_corpus(sequences)
    loader = LanguageModelLoader(
        bases, segments, tokenizer, rows=2, bptt=tokenizer.n_tokens(500), windows=1, shuffle=True
    )
    rows = [tuple(row) for x, _ in loader for row in x[:, 1:].tolist()]
    whole = {tuple(tokenizer.encode(c)[:-1].tolist()) for s in sequences for c in (s, reverse_complement(s))}
    assert len(rows) == 6 and set(rows) <= whole


# --- A classifier that starts from k-mer log-odds -----------------------------------------------------------


def classifier_with_composition(tokenizer, ks=(1, 3)):
    texts = [random_text(30, i, "ACGT" if i % 2 else "ACGGT") for i in range(40)]
    composition = KmerLogOdds.from_pipeline(kmer_logistic(ks).fit(texts, [i % 2 for i in range(40)]))
    model = Classifier(tiny_model(tokenizer).encoder, composition=composition)
    return model.eval()


def test_the_loader_gives_each_sequence_its_own_log_odds():
    tokenizer, sequences = KmerTokenizer(3, 1), [encode_bases(random_text(20 + i, i)) for i in range(11)]
    loader = SequenceLoader(
        sequences,
        np.arange(11),
        tokenizer,
        batch_size=4,
        log_odds=np.arange(11) / 7,
        shuffle=True,
        reverse_complement_half=True,
    )
    seen = [
        (label.item(), odds.item()) for _, log_odds, labels in loader for label, odds in zip(labels, log_odds)
    ]
    assert sorted(label for label, _ in seen) == list(range(11))
    np.testing.assert_allclose([odds for _, odds in seen], [label / 7 for label, _ in seen], rtol=1e-6)


def test_log_odds_are_added_to_those_of_the_network():
    tokenizer = KmerTokenizer(3, 1)
    model, sequences = (
        classifier_with_composition(tokenizer),
        [encode_bases(random_text(n, n)) for n in (25, 40, 31)],
    )
    plain = Classifier(model.encoder).eval()
    plain.head = model.head
    p, q = (predict_probabilities(m, sequences, tokenizer, both_strands=False) for m in (model, plain))
    np.testing.assert_allclose(
        np.log(p / (1 - p)), np.log(q / (1 - q)) + model.composition(sequences).numpy(), rtol=1e-3, atol=1e-4
    )
    other = [reverse_complement(s) for s in sequences]
    np.testing.assert_allclose(
        predict_probabilities(model, sequences, tokenizer),
        predict_probabilities(model, other, tokenizer),
        rtol=1e-5,
    )


def test_a_classifier_is_saved_with_its_composition(tmp_path):
    tokenizer = KmerTokenizer(3, 1)
    model, sequences = (
        classifier_with_composition(tokenizer),
        [encode_bases(random_text(n, n)) for n in (25, 40)],
    )
    save_model(tmp_path, model)
    again, config = load_classifier(tmp_path, tokenizer)
    again.encoder.bf16 = model.encoder.bf16
    assert config["architecture"]["composition"] == [1, 3]
    np.testing.assert_array_equal(
        predict_probabilities(model, sequences, tokenizer), predict_probabilities(again, sequences, tokenizer)
    )


def test_a_network_learns_what_log_odds_leave_over():
    """Labels that the log-odds know already leave nothing to learn; half of them leave half."""
    tokenizer, rng = KmerTokenizer(3, 1), np.random.default_rng(0)
    labels = np.tile([0, 1], 60)
    sequences = [
        rng.choice(4, 40, p=[0.2, 0.3, 0.3, 0.2] if label else [0.3, 0.2, 0.2, 0.3]).astype(np.uint8)
        for label in labels
    ]
    for known, loss in ((20.0, 1e-3), (0.0, 0.1)):
        log_odds = np.where(labels == 1, known, -known)
        train = SequenceLoader(sequences, labels, tokenizer, log_odds=log_odds, batch_size=20)
        composition = classifier_with_composition(tokenizer).composition
        learn = classifier_learner(
            tiny_model(tokenizer).encoder, train, train, drop_mult=0.0, composition=composition
        )
        with learn.no_bar(), learn.no_logging():
            assert (learn.validate()[0] < loss) == bool(known)


def test_an_encoder_with_other_facts_than_expected_is_refused(tmp_path):
    tokenizer = KmerTokenizer(3, 1)
    save_model(tmp_path, tiny_model(tokenizer), direction="forward", scale="laptop")
    assert load_language_model(tmp_path, tokenizer, direction="forward")[1]["scale"] == "laptop"
    with pytest.raises(ValueError, match=r"has {'direction': 'forward'}; wanted {'direction': 'backward'}"):
        load_language_model(tmp_path, tokenizer, direction="backward", scale="laptop")
