# What depends on what. `make run` calls this; on a cluster, `snakemake --profile cluster/slurm ...` does the same with many machines.
#   snakemake --cores all --config profile=pilot only="LM 1" params="EPOCHS: 1, SCALE: laptop" jobs=2
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import papermill
import yaml
from filelock import FileLock, Timeout
from snakemake.exceptions import WorkflowError

from gpus import a_gpu_of_its_own, visible_gpus
from profiles import profile_paths
from run_notebook import run_notebook

FOLDERS = {"LM": "Genomic Language Models", "Enhancers": "Enhancer Classification"}
NEEDS = {  # notebook: the notebooks whose results it reads, in the order of reading
    "Mammals LM 0 Genomic Data Processing": [],
    "Mammals LM 1 5-mer Stride 2": ["Mammals LM 0 Genomic Data Processing"],
    "Mammals LM 2 4-mer Stride 2": ["Mammals LM 0 Genomic Data Processing"],
    "Mammals LM 3 3-mer Stride 1": ["Mammals LM 0 Genomic Data Processing"],
    "Mammals Enhancers 0 Data Processing": [],
    "Mammals Enhancers 1 4-mer Stride 2": ["Mammals Enhancers 0 Data Processing", "Mammals LM 2 4-mer Stride 2"],
    "Mammals Enhancers 2 5-mer Stride 2": ["Mammals Enhancers 0 Data Processing", "Mammals LM 1 5-mer Stride 2"],
    "Mammals Enhancers 3 3-mer Stride 1": ["Mammals Enhancers 0 Data Processing", "Mammals LM 3 3-mer Stride 1"],
    "Mammals Enhancers 4 Baselines": ["Mammals Enhancers 0 Data Processing"],
    "Mammals Enhancers 6 Improving the Model": [f"Mammals Enhancers {n}" for n in (
        "1 4-mer Stride 2", "2 5-mer Stride 2", "3 3-mer Stride 1", "4 Baselines")],
    "Mammals Enhancers 5 Results and Comparisons": ["Mammals Enhancers 6 Improving the Model"],
    "Mammals Enhancers 10 Across Species": ["Mammals Enhancers 0 Data Processing", "Mammals Enhancers 1 4-mer Stride 2"],
}
# Notebooks that use a trained model, and the parameter that names a file of one's own: with it and CLASSIFIER they need nothing else.
USES = {"Mammals Enhancers 7 Score Your Own Sequences": "INPUT", "Mammals Enhancers 8 Scan a Genome Region": "GENOME",
        "Mammals Enhancers 9 What the Model Looks At": None, "Mammals Enhancers 11 Score Variants": "VARIANTS"}
NEEDS |= dict.fromkeys(USES, ["Mammals Enhancers 0 Data Processing", "Mammals Enhancers 1 4-mer Stride 2"])
# Further runs of a notebook, beside the one with its own parameters: ULMFiT taken apart, and other ways to split the sequences.
PLAIN = {"KMERS": [], "GAPPED_SPANS": []}  # ULMFiT without a start from k-mers
VARIATIONS = {
    "no k-mers": PLAIN,
    "no gaps": {"GAPPED_SPANS": [], "LABEL": "no_gaps"},
    "no fine-tuning": PLAIN | {"FINE_TUNED": False},
    "no pretraining": PLAIN | {"PRETRAINED": False},
    "from scratch": PLAIN | {"PRETRAINED": False, "FINE_TUNED": False},
    "k-mers, no pretraining": {"PRETRAINED": False},
    "k-mers, from scratch": {"PRETRAINED": False, "FINE_TUNED": False},
    "one strand": PLAIN | {"RC_TRAIN": False, "RC_PREDICT": False, "LABEL": "one_strand"},
    "grouped": {"SPLIT": "grouped"},
    "composition matched": {"SPLIT": "composition_matched"},
}
ABLATIONS, SPLITS = ["no k-mers", "no fine-tuning", "no pretraining", "from scratch"], ["grouped", "composition matched"]
SIZES = (100, 300, 1000, 3000)  # numbers of training sequences, with small batches and more epochs where there would be few updates in all
for n in SIZES:
    fewer = {"N_TRAIN": n, "LABEL": f"n{n}", "BATCH_SIZE": min(64, max(8, n // 32)), "STAGE_EPOCHS": [2, 2, 2, 6] if n < 1000 else [1, 1, 1, 3]}
    VARIATIONS[f"{n} training sequences"] = fewer
    VARIATIONS |= {f"{n} training sequences, {name}": fewer | VARIATIONS[name] for name in ("no k-mers", "from scratch")}
EFFICIENCY = [name for name in VARIATIONS if "training sequences" in name]
LANGUAGE_MODELS = ["Mammals LM 1 5-mer Stride 2", "Mammals LM 2 4-mer Stride 2", "Mammals LM 3 3-mer Stride 1"]
SETTINGS = ["Mammals Enhancers 1 4-mer Stride 2", "Mammals Enhancers 2 5-mer Stride 2", "Mammals Enhancers 3 3-mer Stride 1"]
BASELINES = "Mammals Enhancers 4 Baselines"
VARIED = {"simulated": {SETTINGS[0]: ["no k-mers", "from scratch"]},
          "pilot": {SETTINGS[0]: [*ABLATIONS, "k-mers, no pretraining", "k-mers, from scratch"], SETTINGS[1]: [*ABLATIONS, "no gaps", "one strand", *SPLITS, *EFFICIENCY], SETTINGS[2]: ABLATIONS,
                    BASELINES: [*SPLITS, *(f"{n} training sequences" for n in SIZES)]}}
# Parameters that differ from the notebooks' defaults. Simulated: small batches, or 640 sequences would be nine updates an epoch;
# attribution of fewer sequences, for time.
# Pilot: every sequence scored once; four passes over 37 Mbp; the classifier that comes with the project.
PRESETS = {"simulated": {"BATCH_SIZE": 16, "MARKED": 4, "GATHERED": 40, "HOSTS": 20},
           "pilot": {"SPLIT": "folds", "EPOCHS": 4, "CLASSIFIER": "models/human_4-mer_stride-2"}}
# What makes the data of a profile, and the file that says it is there. A folder of one's own is there already.
MAKERS = {"simulated": ("data/simulate.py", "data/simulated/README.md"),
          "pilot": ("data/fetch.py pilot", "data/pilot/downloads/record.json"),
          "full": ("data/fetch.py full", "data/full/downloads/record.json")}


def typed(value):
    """Texts as what they say: Snakemake hands on a single parameter as text, and YAML takes 1e-3 for one."""
    if isinstance(value, dict):
        return {name: typed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"[+-]?[0-9.]+[eE][+-]?[0-9]+", value):
        return float(value)
    said = yaml.safe_load(value)
    return said if said is None or isinstance(said, (bool, int, float, list, dict)) else value


PROFILE = str(config.get("profile", "simulated"))
ONLY = str(config.get("only") or "")
given = config.get("params") or ""
GIVEN = typed(given if isinstance(given, dict) else yaml.safe_load(f"{{{given}}}") or {})
for name in ("CLASSIFIER", "INPUT", "GENOME", "VARIANTS"):
    if GIVEN.get(name):
        GIVEN[name] = str(Path(str(GIVEN[name])).expanduser())
CHANGED = ", ".join(f"{name}: {json.dumps(value)}" for name, value in GIVEN.items())
PROCESSES = int(config.get("processes") or 1)  # that train one language model together
COMMAND = f"make run PROFILE={shlex.quote(PROFILE)}" + (f" PARAMS={shlex.quote(CHANGED)}" if CHANGED else "")
COMMAND += f" PROCESSES={PROCESSES}" if PROCESSES > 1 else ""
_, DATA, ARTIFACTS = profile_paths(PROFILE, Path.cwd())
# Notebooks side by side on one machine: small networks gain more from a core each than from two cores for one; each has a GPU of its own.
JOBS = int(config.get("jobs") or len(visible_gpus()) or 2)
try:
    CORES = workflow.cores
except WorkflowError:
    CORES = 4 * JOBS  # a cluster's jobs do not share: 4 for each, or what its profile has as max-threads
FAN_OUT = str(config.get("fan_out") or "")
if FAN_OUT not in ("", "species", "folds"):
    raise WorkflowError(f"fan_out={FAN_OUT!r}: use species, or folds for species and folds, or leave it out")
SPECIES = (GIVEN.get("SPECIES") or sorted(path.name for path in DATA.glob("enhancers/*") if path.is_dir())) if FAN_OUT else []
if SPECIES and GIVEN.get("TOGETHER") and not GIVEN.get("SPECIES"):
    SPECIES = [*SPECIES, "All"]  # enhancers.ALL, whose import would take seconds
if FAN_OUT and not SPECIES:
    raise WorkflowError(f"fan_out: no species in {DATA / 'enhancers'}; fetch or simulate the data first (data/README.md)")


def source(notebook):
    return f"{FOLDERS[notebook.split()[1]]}/{notebook}.ipynb"


def run_name(notebook, variation=""):
    return f"{notebook} ({variation})" if variation else notebook


def fanned_out(notebook, variation):
    """The runs, one a species or one a species and fold, that together are one run of a notebook; what they differ in joins VARIATIONS."""
    split = {**PRESETS.get(PROFILE, {}), **GIVEN, **VARIATIONS.get(variation, {})}.get("SPLIT", "original")
    by_fold = FAN_OUT == "folds" and notebook in SETTINGS and split != "original"
    for species in SPECIES:
        for fold in range(5) if by_fold else [None]:  # as many as enhancers.FOLDS, whose import would take seconds
            name = ", ".join(filter(None, [variation, species, by_fold and f"fold {fold}"]))
            VARIATIONS[name] = VARIATIONS.get(variation, {}) | {"SPECIES": [species]} | ({"SPLIT": f"{split} {fold}"} if by_fold else {})
            yield name


def executed(notebook, variation=""):
    return str(ARTIFACTS.relative_to(Path.cwd()) / "notebooks" / Path(source(notebook)).with_stem(run_name(notebook, variation)))


def runs(notebook):
    """The variations that are run of a notebook, the one without a name with the notebook's own parameters."""
    named = ["", *VARIED.get(PROFILE, {}).get(notebook, [])]
    if not SPECIES or notebook not in (*SETTINGS, BASELINES):
        return named
    return [name for variation in named for name in fanned_out(notebook, variation)]


def check_given_files(notebook):
    """Snakemake would not miss a file that an earlier run has read."""
    files = {name: Path(GIVEN[name]) for name in ("INPUT", "GENOME", "VARIANTS") if GIVEN.get(name)}
    files["CLASSIFIER"] = Path({**PRESETS.get(PROFILE, {}), **GIVEN}["CLASSIFIER"]) / "config.json"
    for name, path in files.items():
        if not path.is_file():
            raise WorkflowError(f"{name}: {path} is not there")


def present(notebook):
    """A folder of one's own may hold genomes only, or enhancers only."""
    parts = {"genomes" if " LM " in notebook else "enhancers"} | ({"genomes"} if USES.get(notebook) in ("GENOME", "VARIANTS") else set())
    return PROFILE in MAKERS or stands_alone(notebook) or all((DATA / part).is_dir() for part in parts)


def classifier_given(notebook):
    return notebook in USES and bool({**PRESETS.get(PROFILE, {}), **GIVEN}.get("CLASSIFIER"))


def stands_alone(notebook):
    """Whether it is given all it reads."""
    return classifier_given(notebook) and bool(GIVEN.get(USES[notebook]))


def needs(notebook):
    """The notebooks that must have run before."""
    return [n for n in NEEDS[notebook] if present(n) and not (n in SETTINGS and classifier_given(notebook))]


def inputs(notebook):
    if stands_alone(notebook):
        return []
    if PROFILE == "simulated":
        data = [MAKERS[PROFILE][1]]
    elif PROFILE in MAKERS:
        data = [ancient(MAKERS[PROFILE][1])]  # fetched again means verified again: no reason to train again
    else:
        data = sorted(str(p) for p in DATA.glob("*/**/*") if p.is_file() and p.suffix not in (".fai", ".gzi"))
    return data + [executed(n, variation) for n in needs(notebook) for variation in runs(n)]


def parameters(notebook, variation):
    """Those of the presets, the given and the variation's parameters that the notebook's parameters cell has."""
    known = papermill.inspect_notebook(source(notebook))
    profile = PROFILE if PROFILE in MAKERS else str(DATA)  # notebooks run in their own folder
    return {k: v for k, v in {**PRESETS.get(PROFILE, {}), "PROFILE": profile, **GIVEN, **VARIATIONS.get(variation, {})}.items() if k in known}


def execute(notebook, values, output, threads):
    name = Path(output).stem
    processes = PROCESSES if notebook in LANGUAGE_MODELS else 1
    os.environ["OMP_NUM_THREADS"] = str(max(1, threads // processes))
    os.environ["NOTEBOOKS_COMMAND"] = COMMAND  # for the result rows
    started = time.time()
    print(f"{name} ...", flush=True)
    try:
        if processes == 1:
            with a_gpu_of_its_own(Path(".snakemake")) as environment:
                os.environ.update(environment)
                run_notebook(source(notebook), output, values)
        else:
            torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
            subprocess.run([*torchrun, "run_notebook.py", source(notebook), output, json.dumps(values)], check=True)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        if isinstance(error, RuntimeError):
            print(f"\nFAILED  {error}\n", flush=True)
        raise WorkflowError(f"{name} failed") from None
    print(f"{name}: done in {time.time() - started:.0f} s", flush=True)


if workflow.is_main_process and not workflow.output_settings.dryrun:
    # Gone with the process, however it ends. Snakemake's own lock would stay after a kill or a power cut, and refuse the run that goes on.
    at_work = FileLock(Path(".snakemake") / f"{ARTIFACTS.name}.lock")
    Path(".snakemake").mkdir(exist_ok=True)
    try:
        at_work.acquire(timeout=0)
    except Timeout:
        raise WorkflowError(f"another run of profile {PROFILE} is at work in {Path.cwd()}: wait for its end") from None

NOTEBOOKS = [n for n in NEEDS if present(n)]
RUNS = [(n, variation) for n in NOTEBOOKS for variation in runs(n)]
WANTED = [run for run in RUNS if re.search(re.escape(ONLY) + r"(?!\d)", run_name(*run), re.I)]  # "Enhancers 1" is not "Enhancers 10"
if not WANTED:
    raise WorkflowError(f"only={ONLY!r} names none of {[run_name(*run) for run in RUNS]}" if NOTEBOOKS else f"{DATA} holds neither genomes/ nor enhancers/")
unknown = set(GIVEN) - {k for n in NEEDS for k in papermill.inspect_notebook(source(n))}
if unknown:
    raise WorkflowError(f"params: no notebook has a parameter {sorted(map(str, unknown))}; values with a comma need quotes")
for notebook, variation in WANTED:
    if stands_alone(notebook):
        check_given_files(notebook)


localrules: all


rule all:
    input: [executed(*run) for run in WANTED]
    default_target: True


if PROFILE in MAKERS:
    localrules: data

    rule data:
        input: MAKERS[PROFILE][0] if PROFILE == "simulated" else []  # what is fetched is pinned, whatever fetches it
        output: MAKERS[PROFILE][1]
        params: MAKERS[PROFILE][0]
        shell: "python {params}"


for number, (notebook, variation) in enumerate(RUNS):
    rule:
        name: re.sub(r"\W+", "_", f"{notebook} {variation}".strip())
        input: source(notebook), *inputs(notebook)
        output: executed(notebook, variation)
        params: notebook=notebook, values=parameters(notebook, variation), always=time.time() if stands_alone(notebook) else None
        priority: len(RUNS) - number
        threads: CORES if notebook in LANGUAGE_MODELS and PROCESSES > 1 else max(1, CORES // JOBS)
        run: execute(params.notebook, params.values, output[0], threads)
