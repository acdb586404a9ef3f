"""Controls for a classifier of DNA: what it says about sequences that cannot be enhancers by design."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from genomic_ulmfit.familiarity import AS_TRAINED, NOT_CHECKED
from genomic_ulmfit.genome import WINDOW, read_fasta
from genomic_ulmfit.scoring import Scorer
from genomic_ulmfit.splits import parts, read_tables
from genomic_ulmfit.tracks import wilson_interval

__all__ = [
    "control_sequences",
    "genome_windows",
    "known_sequences",
    "phage_lambda",
    "score_controls",
    "shuffled_dinucleotides",
]

LAMBDA = Path("controls", "downloads", "lambda_virus.fa")  # in the folder of all data


def shuffled_dinucleotides(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The bases in another order, with every dinucleotide's count and both end bases kept; uint8 [bases].

    All such orders are equally likely: a random Eulerian path (Altschul & Erickson 1985, Molecular Biology
    and Evolution 2, 526-538). The last step away from each base is drawn first, for all bases together and
    again until these steps lead from every base to the end. The other steps come before it, in random order.
    """
    codes = np.asarray(codes, np.uint8)
    if len(codes) < 3:
        return codes.copy()
    following = {int(base): codes[1:][codes[:-1] == base] for base in np.unique(codes[:-1])}
    last = _last_steps(following, int(codes[-1]), rng)
    steps = {base: iter(_others_first(after, last.get(base), rng)) for base, after in following.items()}
    path = [int(codes[0])]
    for _ in range(len(codes) - 1):
        path.append(next(steps[path[-1]]))
    return np.array(path, np.uint8)


def _last_steps(following: dict[int, np.ndarray], end: int, rng: np.random.Generator) -> dict[int, int]:
    while True:
        last = {base: int(rng.choice(after)) for base, after in following.items() if base != end}
        if all(_leads_to(end, base, last) for base in last):
            return last


def _leads_to(end: int, base: int, last: dict[int, int]) -> bool:
    for _ in last:
        base = last.get(base, end)
    return base == end


def _others_first(after: np.ndarray, last: int | None, rng: np.random.Generator) -> list[int]:
    """All steps in random order, that to `last` at the end."""
    steps = list(map(int, rng.permutation(after)))
    if last is not None:
        steps.remove(last)
        steps.append(last)
    return steps


def control_sequences(sequences: Sequence[np.ndarray], seed: int = 0) -> dict[str, list[np.ndarray]]:
    """For each sequence (base codes) three that are no DNA of any genome, by the name of the control.

    Random bases have its length; shuffled letters its composition; shuffled dinucleotides its dinucleotides
    too.
    """
    rng = np.random.default_rng(seed)
    return {
        "random bases": [rng.integers(0, 4, len(codes)).astype(np.uint8) for codes in sequences],
        "letters shuffled": [rng.permutation(codes) for codes in sequences],
        "dinucleotides shuffled": [shuffled_dinucleotides(codes, rng) for codes in sequences],
    }


def genome_windows(path: str | Path, size: int = WINDOW) -> list[np.ndarray]:
    """Windows of a FASTA file side by side, base codes of A, C, G and T only, as long as `size`."""
    return [
        window
        for record in read_fasta(path)
        for start in range(0, len(record.codes) - size + 1, size)
        if (window := np.asarray(record.codes[start : start + size])).max() < 4
    ]


def phage_lambda(data: Path) -> dict[str, list[np.ndarray]]:
    """Windows of the genome of phage lambda by the name of this control; none where it was not downloaded.

    `data`: the folder of all profiles. `python data/fetch.py controls` downloads it.
    """
    path = data / LAMBDA
    return {"phage lambda": genome_windows(path)} if path.is_file() else {}


def score_controls(
    scorer: Scorer,
    sequences: Sequence[np.ndarray],
    name: str,
    threshold: float = 0.5,
    seed: int = 0,
    others: Mapping[str, Sequence[np.ndarray]] | None = None,
) -> pd.DataFrame:
    """How many sequences, called `name`, how many of their controls and of `others` are called enhancers.

    Columns sequences, n (those that can be scored), called (probability of `threshold` or more), share, low
    and high (95 % Wilson interval), mean_probability, and flagged, the share that `Scorer.check_input` warns
    of (NaN for a classifier that cannot tell). The more of the controls are called, the less a call alone
    says; the more of them are flagged, the less that matters.
    """
    controls = control_sequences(sequences, seed) | dict(others or {}) | {name: list(sequences)}
    rows = []
    for kind, codes in controls.items():
        p = scorer.probabilities(codes)
        words = scorer.check_input(codes).input[~np.isnan(p)]
        flagged = np.nan if (words == NOT_CHECKED).any() else (words != AS_TRAINED).mean()
        p = p[~np.isnan(p)]
        called = int((p >= threshold).sum())
        mean = p.mean() if len(p) else np.nan
        low, high = wilson_interval(called, len(p))
        rows.append((kind, len(p), called, called / max(1, len(p)), low, high, mean, flagged))
    return pd.DataFrame(
        rows, columns=["sequences", "n", "called", "share", "low", "high", "mean_probability", "flagged"]
    )


def known_sequences(scorer: Scorer, profile: str, artifacts: Path) -> pd.DataFrame:
    """A profile's labelled sequences, if the classifier was trained on it: id, sequence, label, held_out.

    `held_out` are those of its test set. No rows for another profile, or where no sequences were prepared.
    """
    species, split = scorer.config["species"], scorer.config["split"]
    if scorer.config["profile"] != profile or not (artifacts / "enhancers" / f"{species}.parquet").exists():
        return pd.DataFrame({"id": [], "sequence": [], "label": [], "held_out": pd.Series(dtype=bool)})
    table = read_tables(artifacts / "enhancers", [species], split)[species]
    held_out = table.id.isin(parts(table, scorer.config["fold"], scorer.config["split"])[2].id)
    return table[["id", "sequence", "label"]].assign(held_out=held_out)
