"""Negatives stay away from peaks, from N and from each other; one seed draws the same everywhere."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomic_ulmfit import negatives
from genomic_ulmfit.negatives import Window, matched_windows, random_windows

LENGTH = 20


def genome(seed: int = 0, sizes: tuple[int, ...] = (3_000, 1_500, 10)) -> dict[str, str]:
    """Sequences with a run of N, rich and poor stretches of GC, and repeats in lower case."""
    rng = random.Random(seed)
    texts = {}
    for number, size in enumerate(sizes):
        text = "".join(
            rng.choices("ACGT", (1, 3, 3, 1) if (i // 300) % 2 else (3, 1, 1, 3))[0] for i in range(size)
        )
        text = "".join(letter.lower() if (i // 170) % 3 == 0 else letter for i, letter in enumerate(text))
        texts[f"seq{number}"] = text[: size // 3] + "N" * min(5, size) + text[size // 3 + 5 :]
    return texts


def draw(texts, n, peaks, seed=0, **options):
    lengths = {name: len(text) for name, text in texts.items()}
    return random_windows(
        n, LENGTH, lengths, lambda name, start, end: texts[name][start:end], peaks, seed, **options
    )


def gap(window: Window, other: Window) -> int:
    """Bases between two intervals of one sequence; negative where they overlap."""
    return max(window.start - other.end, other.start - window.end)


def check(texts, windows, peaks, distance):
    for i, window in enumerate(windows):
        text = texts[window.sequence][window.start : window.end]
        assert len(text) == LENGTH and set(text) <= set("ACGTacgt")
        assert all(gap(window, peak) >= distance for peak in peaks if peak.sequence == window.sequence)
        assert all(gap(window, other) >= 0 for other in windows[:i] if other.sequence == window.sequence)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["seq0", "seq1"]), st.integers(-50, 3_050), st.integers(1, 60)),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 60),
    st.integers(0, 1_000),
)
def test_no_negative_is_near_a_peak_or_another_or_has_an_unknown_base(drawn, distance, seed):
    texts, peaks = genome(), [Window(name, start, start + size) for name, start, size in drawn]
    windows = draw(texts, 12, peaks, seed, distance=distance)
    assert len(windows) == 12
    check(texts, windows, peaks, distance)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(negatives, "GIVE_UP", 1_000)


def test_a_window_may_be_exactly_as_near_as_allowed_and_no_nearer(impatient):
    texts = {"a": "A" * 100}
    peak = Window("a", 60, 100)
    assert {draw(texts, 1, [peak], seed, distance=40)[0] for seed in range(5)} == {Window("a", 0, 20)}
    with pytest.raises(ValueError, match="lay within 41 bases of a peak"):
        draw(texts, 1, [peak], distance=41)


def test_windows_that_are_taken_are_left_alone():
    texts = {"a": "ACGTT" * 40}
    first = draw(texts, 3, [], seed=1)
    second = draw(texts, 3, [], seed=2, taken=first)
    check(texts, first + second, [], 0)


def test_a_seed_draws_these_windows_on_every_machine():
    """Written down once: other numbers mean that the sampler, or Python's generator, has changed."""
    peaks = [Window("seq0", 500, 600)]
    assert [tuple(w) for w in draw(genome(), 4, peaks, seed=7, distance=100)] == EXPECTED
    assert draw(dict(reversed(genome().items())), 4, peaks, seed=7, distance=100) == draw(
        genome(), 4, peaks, seed=7, distance=100
    )


EXPECTED = [("seq0", 1444, 1464), ("seq0", 2904, 2924), ("seq0", 323, 343), ("seq0", 2391, 2411)]


def test_draws_are_spread_evenly_over_the_genome():
    texts = {"a": "ACGT" * 1_000, "b": "ACGT" * 3_000}
    starts = [(w.sequence, w.start) for seed in range(600) for w in draw(texts, 1, [], seed)]
    on_b = np.mean([name == "b" for name, _ in starts])
    assert abs(on_b - 0.75) < 0.06  # three standard errors
    assert abs(np.mean([start for name, start in starts if name == "b"]) / 12_000 - 0.5) < 0.05


def test_matched_negatives_have_the_gc_and_the_repeats_of_their_positives():
    texts = genome(sizes=(30_000, 9_000))
    lengths = {name: len(text) for name, text in texts.items()}
    peaks = [Window("seq0", start, start + LENGTH) for start in range(9_000, 12_000, 150)]
    targets = [
        texts["seq0"][peak.start : peak.end]
        for peak in peaks
        if "N" not in texts["seq0"][peak.start : peak.end]
    ]
    windows = matched_windows(
        targets, lengths, lambda name, start, end: texts[name][start:end], peaks, seed=3, distance=50
    )
    check(texts, windows, peaks, 50)
    matched = [texts[w.sequence][w.start : w.end] for w in windows]
    for target, found in zip(targets, matched, strict=True):
        gc = [sum(map(text.upper().count, "GC")) for text in (target, found)]
        repeats = [sum(map(str.islower, text)) for text in (target, found)]
        assert abs(gc[0] - gc[1]) <= 1 and abs(repeats[0] - repeats[1]) <= 4


def test_no_room_and_no_sense_are_refused(impatient):
    texts = {"a": "ACGT" * 10}
    with pytest.raises(ValueError, match="has room for 1 windows that do not overlap, not for 3"):
        draw(texts, 3, [], seed=1)
    with pytest.raises(ValueError, match="no sequence of the genome has 20 bases"):
        draw({"a": "ACGT"}, 1, [])
    with pytest.raises(
        ValueError, match="'chr1', the genome has 'a'. Is the genome the assembly of the peaks"
    ):
        draw(texts, 1, [Window("chr1", 0, 5)])
    with pytest.raises(ValueError, match="all have one length"):
        matched_windows(["ACGT", "ACG"], {"a": 40}, lambda *_: "", [], 0)
