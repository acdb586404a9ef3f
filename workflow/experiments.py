"""Which notebooks there are, what each needs, and which experiments a profile runs: tables only."""

from pathlib import PurePosixPath

from genomic_ulmfit.profiles import MPRA

__all__ = [
    "BASELINES",
    "CLASSIFIERS",
    "LANGUAGE_MODELS",
    "MAKERS",
    "NEEDS",
    "NOTEBOOKS",
    "PRESETS",
    "READS",
    "SETTINGS",
    "SHIPPED",
    "SIZES",
    "START",
    "TWO_MODELS",
    "USES",
    "VARIATIONS",
    "VARIED",
]

START = "Start Here"  # the whole method in short, on simulated data only; it records no results
_FOLDERS = {  # each other notebook is `<folder>/<name>.ipynb`
    "Genomic Language Models": [
        "Mammals LM 0 Genomic Data Processing",
        "Mammals LM 1 5-mer Stride 2",
        "Mammals LM 2 4-mer Stride 2",
        "Mammals LM 3 3-mer Stride 1",
    ],
    "Enhancer Classification": [
        f"Mammals Enhancers {name}"
        for name in (
            "0 Data Processing",
            "4 Baselines",
            "1 4-mer Stride 2",
            "2 5-mer Stride 2",
            "3 3-mer Stride 1",
            "8 Two Language Models",
            "5 Improving the Model",
            "6 Results and Comparisons",
            "7 Across Species",
        )
    ],
    "Using the Models": [
        "1 Score Your Own Sequences",
        "2 Scan a Genome Region",
        "3 Score Variants",
        "4 What the Model Looks At",
        "5 Variants against an Experiment",
    ],
}
# Paths from the project's folder, which itself would be the folder "", in the order of running.
NOTEBOOKS = {
    START: f"{START}.ipynb",
    **{
        name: str(PurePosixPath(folder, f"{name}.ipynb"))
        for folder, names in _FOLDERS.items()
        for name in names
    },
}

GENOMIC_DATA, *LANGUAGE_MODELS = _FOLDERS["Genomic Language Models"]
ENHANCER_DATA, BASELINES, *SETTINGS, TWO_MODELS, IMPROVING, RESULTS, ACROSS_SPECIES = _FOLDERS[
    "Enhancer Classification"
]
CLASSIFIERS = (*SETTINGS, TWO_MODELS)  # what trains on labelled sequences, from a language model
SCORE, SCAN, VARIANTS, ATTRIBUTION, MEASURED = _FOLDERS["Using the Models"]
_5_MER, _4_MER, _3_MER = LANGUAGE_MODELS

# Notebook: the notebooks whose results it reads. A classifier starts from the language model of its own k and
# stride.
NEEDS = {
    START: [],
    GENOMIC_DATA: [],
    **dict.fromkeys(LANGUAGE_MODELS, [GENOMIC_DATA]),
    ENHANCER_DATA: [],
    BASELINES: [ENHANCER_DATA],
    **{setting: [ENHANCER_DATA, encoder] for setting, encoder in zip(SETTINGS, (_4_MER, _5_MER, _3_MER))},
    TWO_MODELS: [ENHANCER_DATA, *LANGUAGE_MODELS],
    IMPROVING: [*CLASSIFIERS, BASELINES],
    RESULTS: [IMPROVING],
    **dict.fromkeys(
        (ACROSS_SPECIES, SCORE, SCAN, ATTRIBUTION, VARIANTS, MEASURED), [ENHANCER_DATA, SETTINGS[0]]
    ),
}
# Data that a notebook opens itself. Labelled sequences are masked in the language models' corpus.
READS = {
    START: ["genomes", "enhancers"],
    GENOMIC_DATA: ["genomes", "enhancers"],
    ENHANCER_DATA: ["enhancers"],
    SCAN: ["genomes"],
    VARIANTS: ["genomes"],
    MEASURED: ["experiment"],
}
# Notebooks that use a trained model, and the parameter that names the user's file. With it and CLASSIFIER
# they need nothing else.
USES = {SCORE: "INPUT", SCAN: "GENOME", ATTRIBUTION: None, VARIANTS: "VARIANTS", MEASURED: None}

# Further runs of a notebook beside the usual one: ULMFiT taken apart, started from k-mer
# log-odds, with fewer labels, and with other ways to split the sequences.
FROM_KMERS = {"KMERS": [1, 2, 3, 4, 5, 6, 7], "GAPPED_SPANS": [8, 10, 12]}
NO_PRETRAINING, FROM_SCRATCH = {"PRETRAINED": False}, {"PRETRAINED": False, "FINE_TUNED": False}
VARIATIONS = {
    "from k-mer log-odds": FROM_KMERS,
    "no gaps": FROM_KMERS | {"GAPPED_SPANS": [], "TRIAL": "no_gaps"},
    "no fine-tuning": {"FINE_TUNED": False},
    "no pretraining": NO_PRETRAINING,
    "from scratch": FROM_SCRATCH,
    "k-mers, no pretraining": FROM_KMERS | NO_PRETRAINING,
    "k-mers, from scratch": FROM_KMERS | FROM_SCRATCH,
    "one strand": {"RC_TRAIN": False, "RC_PREDICT": False, "TRIAL": "one_strand"},
    "grouped": {"SPLIT": "grouped"},
    "composition matched": {"SPLIT": "composition_matched"},
    "k-mers, grouped": FROM_KMERS | {"SPLIT": "grouped"},
    "k-mers, composition matched": FROM_KMERS | {"SPLIT": "composition_matched"},
}
SIZES = (100, 300, 1000, 3000)
FEWER = {f"{n} training sequences": {"N_TRAIN": n, "TRIAL": f"n{n}"} for n in SIZES}
for _name, _fewer in FEWER.items():
    _n = _fewer["N_TRAIN"]  # small batches, and more epochs where there would be few updates in all
    _trained = _fewer | {
        "BATCH_SIZE": min(64, max(8, _n // 32)),
        "STAGE_EPOCHS": [2, 2, 2, 6] if _n < 1000 else [1, 1, 1, 3],
    }
    VARIATIONS |= {
        _name: _trained,
        f"{_name}, from k-mer log-odds": _trained | FROM_KMERS,
        f"{_name}, from scratch": _trained | FROM_SCRATCH,
    }

_TOKENS = {  # the other settings of Enhancers 1 to 3
    "5-mer stride 2": {"K": 5, "STRIDE": 2, "CONTEXTS": [7, 9]},
    "3-mer stride 1": {"K": 3, "STRIDE": 1, "CONTEXTS": [6, 9]},
}
_TWO_MODELS = {
    **_TOKENS,
    "no pretraining": NO_PRETRAINING,
    **{f"{tokens}, no pretraining": NO_PRETRAINING | values for tokens, values in _TOKENS.items()},
    "grouped": VARIATIONS["grouped"],
    "composition matched": VARIATIONS["composition matched"],
}


def _pick(*names: str) -> dict[str, dict]:
    return {name: VARIATIONS[name] for name in names}


# Which of them a profile runs, by notebook; "" is the usual run. A folder of the user's has none.
_ABLATIONS, _SPLITS = ("no fine-tuning", "no pretraining", "from scratch"), ("grouped", "composition matched")
_EFFICIENCY = [name for name in VARIATIONS if "training sequences" in name]
_REAL = {
    SETTINGS[0]: _pick("from k-mer log-odds", *_ABLATIONS, "k-mers, no pretraining", "k-mers, from scratch"),
    SETTINGS[1]: _pick(
        "from k-mer log-odds",
        *_ABLATIONS,
        "no gaps",
        "one strand",
        *_SPLITS,
        *(f"k-mers, {split}" for split in _SPLITS),
        *_EFFICIENCY,
    ),
    SETTINGS[2]: _pick("from k-mer log-odds", *_ABLATIONS),
    TWO_MODELS: _TWO_MODELS,
    BASELINES: _pick(*_SPLITS) | FEWER,
}
# Simulated: four species with the usual tokens and recipe, fewer with the others, for time.
VARIED = {
    "simulated": {
        SETTINGS[0]: {
            name: changed | {"SPECIES": ["Human"]}
            for name, changed in _pick("from k-mer log-odds", "from scratch").items()
        },
        **dict.fromkeys((*SETTINGS[1:], TWO_MODELS), {"": {"SPECIES": ["Human", "Mouse"]}}),
    },
    "pilot": _REAL,
    "mammals": _REAL,
}

# The published reporter assay is fetched beside the profiles; `simulated` has one of its own.
# Parameters that differ from the notebooks' defaults. Simulated: small batches, or 640 sequences would be
# nine updates an epoch; a convolutional network that learns nothing from so few is not tried for long;
# attribution of fewer sequences, for time. Real data: every sequence is scored
# once; the smaller corpus is read four times; the classifier that comes with the project scores.
SHIPPED = "models/human_4-mer_stride-2"
_REAL_VALUES = {
    "SPLIT": "folds",
    "CLASSIFIER": SHIPPED,
    "CLASSIFIERS": ["models/human_5-mer_stride-2", "models/human_3-mer_stride-1"],
    "LANGUAGE_MODELS": ["models/mammals_4-mer_stride-2", "models/mammals_310Mbp_4-mer_stride-2"],
}
_MEASURED = {"EXPERIMENT": MPRA}
PRESETS = {
    "simulated": {
        "BATCH_SIZE": 16,
        "CNN_EPOCHS": 5,
        "CNN_RUNS": 2,
        "N_MARKED": 3,
        "N_GATHERED": 40,
        "N_HOSTS": 10,
    },
    "pilot": _REAL_VALUES | _MEASURED | {"EPOCHS": 4},
    "mammals": _REAL_VALUES | _MEASURED | {"EPOCHS": 1},
    **dict.fromkeys(("benchmark", "full"), _MEASURED),
}
# What makes a profile's data, and the file that says they are there. A user's folder is there already.
MAKERS = {
    "simulated": ("data/simulate.py", "README.md"),
    **dict.fromkeys(("pilot", "mammals", "benchmark", "full"), ("data/fetch.py", "downloads/checksums.json")),
}
