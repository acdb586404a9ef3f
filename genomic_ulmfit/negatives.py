"""Negatives for a set of peaks: windows of the same genome that lie away from every peak.

`random_windows` draws them uniformly, `matched_windows` so that GC content and repeat share agree with
given sequences. A genome is given by the lengths of its sequences and a function that returns the letters
of an interval, so that a dictionary of texts or an indexed FASTA file (`pysam.FastaFile.fetch`) will do.
Intervals are 0-based and half open.

The draws use nothing but `random.Random(seed).random()`, whose values Python promises to keep from version
to version, and whole numbers: one seed draws the same windows on every machine.
"""

import random
import re
from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import NamedTuple

import numpy as np

__all__ = ["DISTANCE", "Window", "matched_windows", "random_windows"]

DISTANCE = 1000  # bases between a negative and the nearest peak
POOL = 100  # candidates drawn per sequence to match
GC_WEIGHT = 4  # one base of GC counts as much as this many bases of repeat: GC varies less, and tells more
GIVE_UP = 100_000  # draws in a row that were all refused

Fetch = Callable[[str, int, int], str]
_NOT_ACGT = re.compile("[^ACGTacgt]")


class Window(NamedTuple):
    """An interval of a genome: name of the sequence, 0-based start, end (not included)."""

    sequence: str
    start: int
    end: int


def random_windows(
    n: int,
    length: int,
    lengths: Mapping[str, int],
    fetch: Fetch,
    peaks: Iterable[Window],
    seed: int,
    distance: int = DISTANCE,
    taken: Iterable[Window] = (),
) -> list[Window]:
    """`n` windows of `length` bases, uniform over the genome, in the order they were drawn.

    Each has A, C, G and T only, lies at least `distance` bases from every one of `peaks`, and overlaps
    neither another one nor a window of `taken`. `lengths`: bases of each sequence; `fetch(sequence, start,
    end)`: its letters. Peaks on sequences that the genome lacks are passed over, and peaks may reach beyond
    the ends of a sequence.

    Raises ValueError if all peaks lie on sequences that the genome lacks, or if there is no room for so
    many windows.
    """
    candidates = _candidates(length, lengths, fetch, peaks, seed, distance)
    windows: list[Window] = []
    free, idle = _Free(taken), 0
    while len(windows) < n:
        window = next(candidates)
        if free.take(window):
            windows.append(window)
            idle = 0
        elif (idle := idle + 1) == GIVE_UP:
            raise ValueError(
                f"the genome has room for {len(windows):,} windows that do not overlap, not for {n:,}"
            )
    return windows


def matched_windows(
    targets: Sequence[str],
    lengths: Mapping[str, int],
    fetch: Fetch,
    peaks: Iterable[Window],
    seed: int,
    distance: int = DISTANCE,
    taken: Iterable[Window] = (),
    pool: int = POOL,
) -> list[Window]:
    """One window for each of `targets` (texts of one length), in their order, alike in GC content and
    repeat share.

    Repeats are lower-case letters. Of `pool` random windows per target, each target gets the nearest that
    is still free; targets rich in GC, which few windows match, choose first. Everything else is as in
    `random_windows`. Raises ValueError for targets of different lengths as well.
    """
    if len({len(target) for target in targets}) != 1:
        raise ValueError("the sequences to match must all have one length, and there must be one at least")
    candidates = _candidates(len(targets[0]), lengths, fetch, peaks, seed, distance)
    drawn = list(islice(candidates, pool * len(targets)))
    wanted = np.array([_composition(target) for target in targets])
    offered = np.array([_composition(fetch(*window)) for window in drawn])
    free, chosen = _Free(taken), {}
    for index in np.argsort(-wanted[:, 0], kind="stable"):
        nearest = np.argsort(((offered - wanted[index]) ** 2).sum(axis=1), kind="stable")
        window = next((drawn[place] for place in nearest if free.take(drawn[place])), None)
        if window is None:
            raise ValueError(f"the genome has no room for {len(targets)} windows that do not overlap")
        chosen[index] = window
    return [chosen[index] for index in range(len(targets))]


class _Free:
    """Which windows are still free: those that overlap no window taken before."""

    def __init__(self, taken: Iterable[Window]) -> None:
        self.starts: dict[str, list[tuple[int, int]]] = {}
        for window in taken:
            insort(self.starts.setdefault(window.sequence, []), window[1:])

    def take(self, window: Window) -> bool:
        """Take `window`; False, and nothing taken, if it overlaps one that is taken."""
        there = self.starts.setdefault(window.sequence, [])
        place = bisect_right(there, window[1:])
        before, after = there[max(place - 1, 0) : place], there[place : place + 1]
        if before and before[0][1] > window.start or after and after[0][0] < window.end:
            return False
        there.insert(place, window[1:])
        return True


def _candidates(
    length: int, lengths: Mapping[str, int], fetch: Fetch, peaks: Iterable[Window], seed: int, distance: int
) -> Iterator[Window]:
    """Endless random windows away from peaks, with A, C, G and T only; they may overlap each other."""
    names = sorted(name for name, size in lengths.items() if size >= length)
    ends = list(accumulate(lengths[name] - length + 1 for name in names))
    if not names:
        raise ValueError(f"no sequence of the genome has {length} bases")
    near = _near(peaks, lengths, distance)
    draw = random.Random(seed).random
    refused = 0
    while True:
        position = int(draw() * ends[-1])
        place = bisect_right(ends, position)
        start = position - (ends[place - 1] if place else 0)
        window = Window(names[place], start, start + length)
        if _touches(near.get(window.sequence), window) or _NOT_ACGT.search(fetch(*window)):
            refused += 1
            if refused == GIVE_UP:
                raise ValueError(
                    f"{GIVE_UP:,} random windows in a row lay within {distance:,} bases of a peak or had "
                    "letters other than A, C, G and T: is there anything in the genome beside peaks?"
                )
            continue
        refused = 0
        yield window


def _near(peaks: Iterable[Window], lengths: Mapping[str, int], distance: int) -> dict[str, tuple[list, list]]:
    """By sequence, starts and ends of the disjoint stretches within `distance` of a peak."""
    peaks = sorted(peaks)
    if peaks and not any(peak.sequence in lengths for peak in peaks):
        raise ValueError(
            f"no peak lies on a sequence of the genome: peaks are on {peaks[0].sequence!r}, the genome "
            f"has {min(lengths, default='none')!r}. Is the genome the assembly of the peaks?"
        )
    near: dict[str, tuple[list, list]] = {}
    for name, start, end in peaks:
        starts, ends = near.setdefault(name, ([], []))
        if ends and start - distance <= ends[-1]:
            ends[-1] = max(ends[-1], end + distance)
        else:
            starts.append(start - distance)
            ends.append(end + distance)
    return near


def _touches(near: tuple[list, list] | None, window: Window) -> bool:
    if near is None:
        return False
    starts, ends = near
    place = bisect_right(ends, window.start)
    return place < len(starts) and starts[place] < window.end


def _composition(text: str) -> tuple[int, int]:
    """Bases of G and C, times GC_WEIGHT, and a, c, g, t in lower case: whole numbers, so that distances are
    exact."""
    upper = text.upper()
    return GC_WEIGHT * (upper.count("G") + upper.count("C")), sum(map(text.count, "acgt"))
