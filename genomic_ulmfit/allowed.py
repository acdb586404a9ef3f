"""What a parameter may be: the rules by which `make run` checks before anything runs, and notebooks and
functions where a value is used.

Names are those of the notebooks' parameters. Nothing but the standard library is imported here, so that a
check takes no time. `parameters.check_parameters` applies all rules to the parameters of a notebook.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

__all__ = [
    "ALL",
    "CHOICES",
    "DROPOUTS",
    "FOLDS",
    "MAX_K",
    "MAX_ORDER",
    "ONE_TEST_SET",
    "PER_SPECIES",
    "RECIPES",
    "RULES",
    "SCALES",
    "SPLITS",
    "STAGES",
    "TRAINING_SET",
    "TRIAL_FORM",
    "TWO_MODELS",
    "check",
    "check_contexts",
    "check_kmer",
    "check_span",
    "check_stride",
    "checked_trial",
    "dropouts_of",
    "one_of",
    "split_and_fold",
]

SPLITS = ("original", "folds", "grouped", "composition_matched", "official")
ONE_TEST_SET = ("original", "official")  # of SPLITS: those without folds
FOLDS = 5
ALL = "All"  # name of the table of all species together
TRAINING_SET = rf"{ALL}( but .+)?|\d+ of .+"  # form of a name that is no species, see `splits.read_tables`
# Sizes of the network. The original's 1150 hidden units are rounded up to a multiple of 64, for tensor cores.
SCALES = {
    "laptop": dict(embedding=64, hidden=128, layers=3),
    "desktop": dict(embedding=128, hidden=256, layers=3),
    "paper": dict(embedding=400, hidden=1152, layers=3),
}
# The five dropouts at a multiplier of 1, by source and stage: the defaults of fastai v1, and Genomic-ULMFiT's
# (whose multipliers are .25 to .3 for language models, .45 to .55 for classifiers).
DROPOUTS = {
    "fastai": {
        "language_model": dict(output=0.1, hidden=0.15, input=0.25, embedding=0.02, weight=0.2),
        "classifier": dict(output=0.4, hidden=0.3, input=0.4, embedding=0.05, weight=0.5),
    },
    "genomic_ulmfit": {
        "language_model": dict(output=0.25, hidden=0.1, input=0.2, embedding=0.02, weight=0.15),
        "classifier": dict(output=0.4, hidden=0.2, input=0.6, embedding=0.1, weight=0.5),
    },
}
# What each stage of a classifier's training trains, and fastai's `freeze_to` for it.
STAGES = {"head": -1, "head, LSTM layer 3": -2, "head, LSTM layers 3 and 2": -3, "everything": 0}
# What OVERRIDES may hold.
PER_SPECIES = ("LM_EPOCHS", "LM_LR", "LM_DROP_MULT", "STAGE_EPOCHS", "STAGE_LRS", "DROP_MULT")
RECIPES = tuple(  # of ULMFiT classifiers, as results call them
    f"ulmfit{left_out}{start}"
    for start in ("", "_kmers")
    for left_out in ("", "_no_finetuning", "_no_pretraining", "_scratch")
)
TWO_MODELS = ("two_language_models", "two_language_models_no_pretraining")  # as results call them
TRIAL_FORM = "[a-z0-9_]+"  # of the name of a trial, in results and in names of files
MAX_TOKEN = 12  # bases of a token: the vocabulary holds 4**K k-mers
MAX_K = 13  # of k-mers that are counted: 4**13 counts are 268 MB as uint32; one base more takes 1 GB
MAX_ORDER = 31  # of a Markov model: 32 bases fit into 64 bits
MAX_CONTEXT = 31  # bases: more do not fit into the integer that indexes them
MAX_STEP = 500  # bases from one scanned window to the next: a longer step would leave bases unread

CHOICES: dict[str, Collection[str]] = {
    "SCALE": SCALES,
    "DROPOUTS": DROPOUTS,
    "DIRECTION": ("forward", "backward"),
    "PREDICTS": ("bases", "kmer"),
    "ON_BAD": ("stop", "skip"),
    "MODEL": RECIPES,
}


def one_of(name: str, value: object) -> None:
    """ValueError unless a parameter has one of the words of `CHOICES`."""
    if value not in list(CHOICES[name]):
        raise ValueError(f"{name}={value!r}: use one of {', '.join(CHOICES[name])}")


def split_and_fold(split: str) -> tuple[str, int | None]:
    """Word and number of a split: ("folds", 3) of "folds 3", one fold alone; ("folds", None) of "folds".

    ValueError for others.
    """
    word, _, fold = str(split).partition(" ")
    if word not in SPLITS or fold and (word in ONE_TEST_SET or fold not in map(str, range(FOLDS))):
        raise ValueError(
            f"SPLIT={split!r}: use "
            + ", ".join(f'"{word}"' for word in SPLITS)
            + ', or "folds 0" for one fold alone'
        )
    return word, int(fold) if fold else None


def checked_trial(trial: str) -> str:
    """The name of a trial as it stands in results and in names of files.

    Raises ValueError for anything but lower-case letters, digits and underscores.
    """
    if trial and not re.fullmatch(TRIAL_FORM, trial):
        raise ValueError(f"TRIAL={trial!r}: use lower-case letters, digits and underscores")
    return trial


def dropouts_of(stage: str, multiplier: float, source: str = "fastai") -> dict[str, float]:
    """The five dropouts of a stage ("language_model" or "classifier") times `multiplier`; 0 turns them off.

    `source`: whose values, a key of `DROPOUTS`. Raises ValueError for another one, and for a multiplier that
    makes one of them negative, or 1 and above.
    """
    one_of("DROPOUTS", source)
    dropouts = {name: value * multiplier for name, value in DROPOUTS[source][stage].items()}
    for name, p in dropouts.items():
        if not 0 <= p < 1:
            raise ValueError(
                f"DROP_MULT={multiplier}: the {name} dropout of a {stage.replace('_', ' ')} would be {p:g}; "
                "it must be at "
                f"least 0 and below 1 (at a multiplier of 1 it is {DROPOUTS[source][stage][name]:g})"
            )
    return dropouts


def check_stride(k: int, stride: int) -> None:
    """ValueError unless a stride is 1 to k."""
    if not 1 <= stride <= k:
        raise ValueError(f"STRIDE={stride}: choose 1 to K={k}; a longer stride would skip bases")


def check_contexts(k: int, stride: int, contexts: Sequence[int]) -> None:
    """ValueError unless every context ends where a k-mer does and begins where another one begins."""
    for c in contexts:
        if c <= k or (c - k) % stride:
            raise ValueError(
                f"CONTEXTS: a context of {c} bases: with K={k}, STRIDE={stride} choose from "
                f"{list(range(k + stride, k + 4 * stride + 1, stride))} and so on"
            )
        if c > MAX_CONTEXT:
            raise ValueError(
                f"CONTEXTS: a context of {c} bases: "
                f"at most {MAX_CONTEXT} fit into the integer that indexes them"
            )


def check_kmer(k: int | str) -> None:
    """ValueError unless `k` is a length of k-mers, or a pattern of gapped ones (see `kmers`)."""
    if isinstance(k, str) and (not re.fullmatch("1[01]*", k) or k != k[::-1]):
        raise ValueError(
            f"the pattern {k!r} must be of 1 and 0, begin with 1 and read the same from both ends, "
            "as 1101011 does"
        )
    read = k.count("1") if isinstance(k, str) else k
    if not 1 <= read <= MAX_K:
        memory = f": a table of all {read}-mers takes {4**read * 4 / 1e9:.3g} GB" if read > MAX_K else ""
        raise ValueError(f"k is {k}, but must be from 1 to {MAX_K}{memory}")


def check_span(k: int, span: int) -> None:
    """ValueError unless gapped k-mers can be `span` bases long."""
    if not isinstance(span, Integral) or k % 2 or k < 2 or span <= k:
        raise ValueError(f"gapped {k}-mers of {span!r} bases: k must be even and every span longer than k")


# --- Rules by name ------------------------------------------------------------------------------------------

# Of a parameter's name and value; raises ValueError for a value that it may not have.
Rule = Callable[[str, Any], object]


def _whole(lowest: int, highest: int | None = None, even: bool = False) -> Rule:
    between = f"{lowest} or more" if highest is None else f"{lowest} to {highest}"

    def rule(name: str, value: Any) -> None:
        fits = type(value) is int and value >= lowest and (highest is None or value <= highest)
        if not fits or even and value % 2:
            raise ValueError(f"{name}={value!r}: choose {between}, {'an even' if even else 'a whole'} number")

    return rule


def _number(fits: Callable[[float], bool], wanted: str) -> Rule:
    def rule(name: str, value: Any) -> None:
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not fits(value):
            raise ValueError(f"{name}={value!r}: choose a number {wanted}")

    return rule


def _flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value!r}: use True or False")


def _expression(name: str, value: Any) -> None:
    try:
        re.compile(value)
    except (re.error, TypeError) as error:
        raise ValueError(f"{name}={value!r}: it is no regular expression ({error})") from error


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{name}={value!r}: use text")


def _kmer(name: str, value: Any) -> None:
    if isinstance(value, str):
        check_kmer(value)
    else:
        _whole(1, MAX_K)(name, value)


def _sequence(name: str, value: Any) -> None:
    if not re.fullmatch("[ACGT]{2,}", str(value)):
        raise ValueError(f"{name}={value!r}: use two or more of the letters A, C, G and T")


def _list_of(rule: Rule, n: int | None = None) -> Rule:
    """A list whose items follow `rule`; of `n`, one for each stage of training."""

    def whole(name: str, values: Any) -> None:
        if not isinstance(values, (list, tuple)):
            raise ValueError(f"{name}={values!r}: use a list, such as [1, 2]")
        if n is not None and len(values) != n:
            raise ValueError(
                f"{name}={values}: give {n} values, one for each of the stages {'; '.join(STAGES)}"
            )
        for place, value in enumerate(values):
            rule(f"{name}[{place}]", value)

    return whole


def _dictionary_of(rule: Rule) -> Rule:
    def whole(name: str, values: Any) -> None:
        if not isinstance(values, Mapping):
            raise ValueError(f"{name}={values!r}: use a dictionary, such as {{'a': 1}}")
        for key, value in values.items():
            rule(f"{name}[{key!r}]", value)

    return whole


def _override(name: str, value: Any) -> None:
    for key, own in value.items() if isinstance(value, Mapping) else [("", value)]:
        if key not in PER_SPECIES:
            raise ValueError(f"{name}={value!r}: use a dictionary of {', '.join(PER_SPECIES)}")
        RULES[key](f"{name}[{key!r}]", own)


def _or_none(rule: Rule) -> Rule:
    return lambda name, value: value is None or rule(name, value)


_positive, _above_zero = _whole(1), _number(lambda value: value > 0, "above 0")
_from_zero = _number(lambda value: value >= 0, "from 0 on")
RULES: dict[str, Rule] = {
    **dict.fromkeys(CHOICES, one_of),
    "SCALE": _or_none(one_of),
    "SPLIT": lambda _, value: split_and_fold(value),
    "TRIAL": lambda _, value: checked_trial(value),
    "SPECIES": _or_none(_list_of(_text)),
    "K": _whole(1, MAX_TOKEN),
    "STRIDE": _whole(1, MAX_TOKEN),
    "CONTEXTS": _list_of(_whole(1, MAX_CONTEXT)),
    "KMER": _whole(1, MAX_K),
    "KMERS": _list_of(_kmer),
    "GAPPED_SPANS": _list_of(lambda _, value: check_span(6, value)),
    "MARKOV_ORDER": _whole(0, MAX_ORDER),
    "SEED": _whole(0, 2**32 - 1),  # NumPy takes no other
    "STAGE_EPOCHS": _list_of(_whole(0), len(STAGES)),
    "STAGE_LRS": _list_of(_above_zero, len(STAGES)),
    "OVERRIDES": _dictionary_of(_override),
    "N_TRAIN": _or_none(_whole(2, even=True)),
    "FEW": _or_none(_whole(30, even=True)),
    "N_HOSTS": _whole(2),
    "CLIP": _or_none(_above_zero),
    "STEP": _whole(1, MAX_STEP),
    "MOTIFS": _dictionary_of(_sequence),
    **dict.fromkeys(("EXAMPLE", "LM_EPOCHS", "MIN_BARCODES", "N_MARKED", "SHARED_EPOCHS"), _whole(0)),
    **dict.fromkeys(("BLOCK", "EPOCH_BASES"), _or_none(_positive)),
    **dict.fromkeys(("BATCH_SIZE", "BPTT", "EPOCHS", "ROW", "ROWS", "VALID_BASES"), _positive),
    **dict.fromkeys(("CNN_EPOCHS", "CNN_RUNS", "CONTROLS", "MIN_LENGTH", "MIN_RUN"), _positive),
    **dict.fromkeys(("N_GATHERED", "N_MADE_UP", "PLOT_BASES", "WIDTH"), _positive),
    **dict.fromkeys(("C", "GAPPED_C", "KMERS_C", "MOTIF_C", "LAYER_RATIO", "LM_LR", "LR"), _above_zero),
    **dict.fromkeys(("CLASSIFIERS", "LANGUAGE_MODELS"), _list_of(_text)),
    **dict.fromkeys(
        ("DROP_MULT", "LM_DROP_MULT", "MOTIF_WEIGHT"), _number(lambda value: value >= 0, "from 0 on")
    ),
    "THRESHOLD": _number(lambda value: 0 <= value <= 1, "from 0 to 1"),
    "PREVALENCE": _or_none(_number(lambda value: 0 < value < 1, "above 0 and below 1, such as 0.01")),
    **dict.fromkeys(("HELD_OUT", "KEEP"), _expression),
    **dict.fromkeys(("ACROSS_CONTIGS", "FINE_TUNED", "MASK_LABELLED", "NEAR_COPIES", "PRETRAINED"), _flag),
    **dict.fromkeys(("RC_PREDICT", "RC_TRAIN", "TOGETHER"), _flag),
}


def check(name: str, value: object) -> None:
    """ValueError for a value that the parameter `name` may not have; a name without a rule may have any."""
    if name in RULES:
        RULES[name](name, value)
