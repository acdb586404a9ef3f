"""What large runs would take: costs measured on small ones, multiplied.

Prints the table of workflow/README.md.

    python -m workflow.plan
    python -m workflow.plan --tokens-per-second 250000 --price 2.50     a measured GPU, and its price an hour
"""

import argparse

# Measured on `pilot`, one core each, laptop scale (results/, notebooks); the import: benchmarks/README.md.
IMPORT_BASES = 182e6  # bases a second, gzip FASTA to mapped bases
MARKOV_BASES = 53e6 / 116  # bases a second of the whole of `Mammals LM 0`: import, masking, Markov models
LAPTOP_TOKENS = 148.7e6 / 2635  # tokens a second of language-model training, 3-mers at stride 1
CLASSIFIER_SECONDS = {
    "3-mer/1": 335 / 5002,
    "4-mer/2": 262 / 5002,
    "5-mer/2": 200 / 5002,
}  # a fold, for each training sequence
BASELINE_SECONDS = 1800 / (5 * 5002)  # regressions, boosting and five CNNs, for each training sequence

# Known sizes: results/published.csv, data/README.md and the original's recipe.
STRIDES = {"3-mer/1": 1, "4-mer/2": 2, "5-mer/2": 2}
ENHANCERS = {"species": 17, "sequences": 28_000, "bases": 500}
PASSES = 7  # over the training sequences: one of fine-tuning, six of the classifier
RUNS = {"full: four primate genomes, 17 species": 9.5e9, "240 mammalian genomes, 17 species": 240 * 2.7e9}


def plan(bases: float, tokens_per_second: float, price: float) -> dict[str, str]:
    """A column of the table: what a corpus of `bases` takes on GPUs that train so many tokens a second."""
    language_models = sum(bases / stride for stride in STRIDES.values()) / tokens_per_second / 3600
    train = ENHANCERS["species"] * 0.8 * ENHANCERS["sequences"]
    tokens = sum(train * PASSES * ENHANCERS["bases"] / stride for stride in STRIDES.values())
    classifiers = tokens / tokens_per_second / 3600
    gpu = language_models + classifiers
    return {
        "bases": f"{bases / 1e9:,.1f} Gbp",
        "disk: genomes as gzip, as mapped bases": f"{bases / 3.3e9:,.0f} GB, {bases / 1e9:,.0f} GB",
        "import, one core": f"{bases / IMPORT_BASES / 60:,.0f} min",
        "`Mammals LM 0` in all, one core": f"{bases / MARKOV_BASES / 3600:,.0f} h",
        "three language models, one pass each": f"{language_models:,.0f} GPU h",
        "17 species x 3 settings, one split": f"{classifiers:,.1f} GPU h",
        "the same, five folds": f"{5 * classifiers:,.1f} GPU h",
        "baselines of 17 species, CPU": f"{train * BASELINE_SECONDS / 3600:,.0f} core h",
        "these on 8 GPUs, one split": f"{gpu / 8:,.1f} h",
        f"at {price:.2f} a GPU hour": f"{gpu * price:,.0f}",
    }


def table(tokens_per_second: list[float], price: float) -> str:
    columns = {
        f"{name}, {speed:,.0f} tokens/s": plan(bases, speed, price)
        for name, bases in RUNS.items()
        for speed in tokens_per_second
    }
    lines = [["", *columns], ["---"] * (1 + len(columns))]
    lines += [[step, *(column[step] for column in columns.values())] for step in next(iter(columns.values()))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def laptop_hours() -> str:
    """The same on CPU cores at laptop scale, for comparison."""
    language_models = sum(9.5e9 / stride for stride in STRIDES.values()) / LAPTOP_TOKENS / 3600
    classifiers = (
        ENHANCERS["species"] * 0.8 * ENHANCERS["sequences"] * sum(CLASSIFIER_SECONDS.values()) / 3600
    )
    return (
        f"`full` at laptop scale: three language models {language_models:,.0f} core hours a pass, "
        f"17 x 3 classifiers {classifiers:,.0f} core hours."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tokens-per-second",
        type=float,
        nargs="+",
        default=[87_000, 2_000_000],
        help="of one GPU at paper scale",
    )
    parser.add_argument("--price", type=float, default=3.0, help="of a GPU for an hour")
    given = parser.parse_args()
    print(f"{table(given.tokens_per_second, given.price)}\n\n{laptop_hours()}")
