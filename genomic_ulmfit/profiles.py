"""Where things are: the data and artifacts of a profile, its FASTA files, the folders of its models."""

import gzip
import hashlib
import os
import re
import shutil
import warnings
from pathlib import Path
from typing import NamedTuple

from genomic_ulmfit.allowed import checked_trial, one_of
from genomic_ulmfit.files import replacing
from genomic_ulmfit.hub import from_hub, is_hub_name

__all__ = [
    "BUILT_IN",
    "MPRA",
    "FoundModel",
    "ROOT",
    "checked_trial",
    "classifier_folder",
    "classifier_name",
    "data_files",
    "encoder_folder",
    "experiment_folder",
    "find_model",
    "fold_folder",
    "genome_file",
    "genome_files",
    "model_name",
    "profile_paths",
    "project_path",
    "recipe_name",
    "results_folder",
    "sample_files",
    "samples_in",
    "setting_of",
    "unread_files",
]

ROOT = Path(__file__).resolve().parents[1]
MPRA = "mpra"  # the reporter assay that `data/fetch.py mpra` brings
BUILT_IN = ("simulated", "pilot", "mammals", "mammals_matched", "benchmark", "full")
_GENOME_NAME = re.compile(
    r"(?P<species>[^.]+)(\..*)?\.(fa|fas|fasta|ffn|fna|mfa)(\.(masked|rm|sm))?(\.b?gz)?", re.I
)
_SAMPLE_NAME = re.compile(
    r"(?P<word>positive|negative)_samples(\.(fa|fas|fasta|ffn|fna|mfa|seq|txt))?(\.b?gz)?", re.I
)
# What stands beside the data and is not missed: indexes by other programs, where simulated motifs lie.
_COMPANION_NAME = re.compile(r".*\.(fai|gzi)|truth\.tsv", re.I)


_NAMING = {
    "genomes": "a genome is called <species>[.<part>].fa[.gz]",
    "enhancers": "a species is a folder with positive_samples and negative_samples",
}


def project_path(path: str | Path, root: Path = ROOT) -> Path:
    """A path that a parameter names: `~` is the home folder; a relative path starts at the project's.

    The same in the workflow and in a notebook run by hand, whose own folder is another one.
    Raises ValueError for `~` where the system knows no home folder.
    """
    try:
        return Path(root) / Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path}: this system has no home folder for '~'; write the whole path") from error


class FoundModel(NamedTuple):
    """Where a model is, what files that it makes are called by, and the name that means this very model."""

    folder: Path
    name: str
    source: str


def find_model(model: str | Path, root: Path = ROOT) -> FoundModel:
    """The model that a parameter names: a folder, one of the project's `models/`, or one of the hub.

    A folder may lie anywhere (`project_path`). It goes before a model of `models/`, whose name is that of its
    folder alone (`human_4-mer_stride-2`). A name that begins with `hub:` is fetched; raises as
    `hub.from_hub`. Where there is none of these, the folder is the one named, in which no model is.
    """
    if is_hub_name(model):
        fetched = from_hub(str(model))
        return FoundModel(fetched.folder, fetched.name, fetched.pinned)
    folders = [project_path(model, root), Path(root) / "models" / model]
    folder = next((one for one in folders if (one / "config.json").is_file()), folders[0])
    return FoundModel(folder, folder.name, folder.name)


def results_folder(root: Path = ROOT) -> Path:
    """Folder of result rows and predictions: `results/`, or the environment variable GENOMIC_RESULTS."""
    return _place("GENOMIC_RESULTS", Path(root) / "results")


def _place(variable: str, default: Path) -> Path:
    """The path in an environment variable, absolute: a checkout that cannot be written keeps nothing."""
    return project_path(os.environ[variable], ROOT) if os.environ.get(variable) else default


def profile_paths(profile: str, root: Path = ROOT) -> tuple[str, Path, Path]:
    """Profile name or the path of a folder -> (name, data folder, artifacts folder).

    A user's folder in the project's `data/` is called by its name, one elsewhere `<name>-<hash of its path>`.
    Artifacts always carry that hash, so two folders of one name never share artifacts or rows. Raises
    ValueError for a name that is neither a known profile nor an existing folder, and for a folder that is
    called like a known profile: its results would pass for that profile's. The environment variables
    GENOMIC_DATA and GENOMIC_ARTIFACTS name other folders than the project's `data/` and `artifacts/`.
    """
    data, artifacts = _place("GENOMIC_DATA", root / "data"), _place("GENOMIC_ARTIFACTS", root / "artifacts")
    if profile in BUILT_IN:
        return profile, data / profile, artifacts / profile
    folder = project_path(profile, root).resolve()
    if not folder.is_dir():
        raise ValueError(
            f"PROFILE={profile!r}: use {', '.join(BUILT_IN)} or the path of an existing folder "
            f"(a relative path starts at {root})"
        )
    if (known := folder.name.lower()) in BUILT_IN:
        raise ValueError(
            f'PROFILE={profile!r}: "{known}" is a profile of this project. '
            "For that one write its name without a path "
            f"(its data are in {data / known}, which may be a link); for data of your own rename the folder"
        )
    place = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    unique = f"{folder.name}-{place}"
    return folder.name if folder.parent == data.resolve() else unique, folder, artifacts / unique


def experiment_folder(experiment: str | None, data: Path, root: Path = ROOT) -> Path:
    """Folder of measured effects: `elements.fa` and `effects.vcf`.

    `experiment` is None (`experiment/` in the profile's `data`), "mpra" (in the project's folder of data) or
    a path. FileNotFoundError, saying how to get them, where the two files are not there.
    """
    folder = Path(data) / "experiment"
    if experiment:
        folder = (
            _place("GENOMIC_DATA", root / "data") / MPRA
            if experiment == MPRA
            else project_path(experiment, root)
        )
    if missing := [name for name in ("elements.fa", "effects.vcf") if not (folder / name).is_file()]:
        raise FileNotFoundError(
            f"{folder} holds no {' and no '.join(missing)}: `python data/fetch.py mpra` brings those of a "
            'published reporter assay; name it in EXPERIMENT as "mpra"'
        )
    return folder


def genome_files(data: Path) -> dict[str, list[Path]]:
    """FASTA files of `data/genomes` by species, sorted: `<species>[.<part>].fa[.gz]`.

    The ending may also be .fas, .fasta, .ffn, .fna or .mfa, then .masked, .rm or .sm, then .bgz, all in
    either case. Warns of files in the folder that are called otherwise and so not read. Raises
    FileNotFoundError when there are none.
    """
    files = _genome_files(data)
    if not files:
        raise FileNotFoundError(
            f"{Path(data) / 'genomes'}: no <species>[.<part>].fa[.gz] there; "
            "`make run` or data/README.md tell how to get it"
        )
    _warn_of_unread(data, "genomes")
    return files


def sample_files(data: Path) -> dict[str, dict[str, list[Path]]]:
    """Sample files of `data/enhancers`: species -> files found for "positive" and "negative", sorted.

    A species is a folder with both. A file is called `positive_samples` or `negative_samples`, without an
    ending or with those of a genome, .txt or .seq. Warns of files in the folder that are called otherwise and
    so not read.
    """
    _warn_of_unread(data, "enhancers")
    return _sample_files(data)


def data_files(data: Path) -> list[Path]:
    """All genomes and sample files of a profile, sorted: what its results depend on."""
    samples = [path for words in _sample_files(data).values() for paths in words.values() for path in paths]
    return sorted([*samples, *(path for paths in _genome_files(data).values() for path in paths)])


def _genome_files(data: Path) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for path in sorted((Path(data) / "genomes").glob("*")):
        if path.is_file() and (match := _GENOME_NAME.fullmatch(path.name)):
            files.setdefault(match["species"], []).append(path)
    return files


def samples_in(folder: Path) -> dict[str, list[Path]]:
    """The sample files in the folder of one species by "positive" and "negative", sorted.

    No key for what is not there.
    """
    files: dict[str, list[Path]] = {}
    for path in sorted(Path(folder).glob("*")):
        if path.is_file() and (match := _SAMPLE_NAME.fullmatch(path.name)):
            files.setdefault(match["word"].lower(), []).append(path)
    return files


def _sample_files(data: Path) -> dict[str, dict[str, list[Path]]]:
    species = {folder.name: samples_in(folder) for folder in sorted((Path(data) / "enhancers").glob("*"))}
    return {name: files for name, files in species.items() if len(files) == 2}


def unread_files(data: Path) -> dict[str, str]:
    """What a profile's folders `genomes` and `enhancers` hold that nothing reads, in a line each.

    A line names the files that are neither data nor companions of data; a folder without any has none.
    """
    lines = {}
    for part, rule in _NAMING.items():
        folder = Path(data) / part
        there = {
            path
            for path in folder.rglob("*")
            if not path.is_dir() and not _COMPANION_NAME.fullmatch(path.name)
        }
        if unread := sorted(there - set(data_files(data))):
            names = ", ".join(path.relative_to(folder).as_posix() for path in unread[:10])
            lines[part] = f"{folder}: not read: {names}{' ...' * (len(unread) > 10)} ({rule})"
    return lines


def _warn_of_unread(data: Path, part: str) -> None:
    if line := unread_files(data).get(part):
        warnings.warn(line, stacklevel=3)


def genome_file(data: Path, species: str, lookup: Path | None = None) -> Path:
    """The FASTA file of a species in `data/genomes`; "Human" and "human" are the same.

    A species in several files is read from one copy of them all, which is kept in the folder `lookup` under a
    name that changes with them. Raises FileNotFoundError where there is no genome of that species, and
    ValueError for several files without `lookup`; both say which there are.
    """
    files = genome_files(data)
    found = next((paths for name, paths in files.items() if name.lower() == species.lower()), None)
    if found is None:
        raise FileNotFoundError(
            f"{Path(data) / 'genomes'} holds no genome of {species} (there: {', '.join(files)}): "
            "name a FASTA file in GENOME"
        )
    if len(found) == 1:
        return found[0]
    if lookup is None:
        raise ValueError(
            f"the genome of {species} is in several files ({', '.join(path.name for path in found)}): "
            "name one of them in GENOME"
        )
    return _joined(found, species, lookup)


def _joined(paths: list[Path], species: str, folder: Path) -> Path:
    """FASTA files as one, uncompressed; made once for the same files."""
    facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    whole = folder / f"{species.lower()}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:8]}.fa"
    if not whole.exists():
        with replacing(whole) as temporary, open(temporary, "wb") as target:
            for path in paths:
                with (
                    gzip.open(path) if path.suffix.lower() in (".gz", ".bgz") else open(path, "rb") as source
                ):
                    shutil.copyfileobj(source, target)
                target.write(b"\n")  # a file that does not end its last line
    return whole


def model_name(
    k: int,
    stride: int,
    direction: str,
    predicts: str,
    contexts,
    scale: str,
    seed: int,
    settings: str = "",
    corpus: str = "",
) -> str:
    """Folder name of a language model; no two settings share one.

    So a changed parameter never picks up a stale file.

    `settings` is `settings_hash` of its parameters, `corpus` the hash of what it reads
    (`corpus.read_corpus`). Without them the name is that of the setting, by which `encoder_folder` finds
    every model of it.
    """
    one_of("DIRECTION", direction)
    joined = f"contexts-{'-'.join(map(str, contexts))}" if contexts else ""
    return "_".join(
        filter(
            None,
            [
                f"{k}-mer_stride-{stride}_{direction}_{predicts}",
                joined,
                f"{scale}_seed-{seed}",
                settings and f"settings-{settings}",
                corpus and f"corpus-{corpus}",
            ],
        )
    )


def recipe_name(pretrained: bool, fine_tuned: bool, kmers) -> str:
    """Name of a recipe in results: `ulmfit`, and what was left out of it or (`_kmers`) added to it."""
    left_out = {
        (True, True): "",
        (True, False): "_no_finetuning",
        (False, True): "_no_pretraining",
        (False, False): "_scratch",
    }
    return f"ulmfit{left_out[bool(pretrained), bool(fine_tuned)]}{'_kmers' if kmers else ''}"


def classifier_name(
    recipe: str, trial: str, setting: str, split: str, settings: str = "", encoder_hash: str = ""
) -> str:
    """Folder name of the classifiers of a recipe, one folder for each species and fold in it.

    `setting` is `model_name` of the encoder's setting, `split` one word, `settings` is `classifier_hash` of
    the parameters and `encoder_hash` the first 8 digits of the encoder's `weights_sha256`, blank without a
    pretrained one. The name of a trial is marked as one.
    """
    return "_".join(
        filter(
            None,
            [
                recipe,
                checked_trial(trial) and f"trial-{trial}",
                setting,
                split,
                settings and f"settings-{settings}",
                encoder_hash and f"encoder-{encoder_hash}",
            ],
        )
    )


def fold_folder(folder: str | Path, species: str, fold: int | str) -> Path:
    """Folder of the classifier of a species and fold ("test": original split) among those of a recipe."""
    return Path(folder) / f"{species}_{fold}"


def setting_of(folder: str) -> str:
    """A model's folder name without the hashes, as `model_name` and `classifier_name` write it where they are
    given none.
    """
    return re.sub(r"(_(settings|corpus|encoder)-[0-9a-f]{8})+$", "", folder)


def classifier_folder(artifacts: Path, recipe: str, trial: str, setting: str, split: str) -> Path:
    """Folder of the classifiers of a recipe and a trial, whatever their settings and encoder.

    It is called as `classifier_name` says. Of several the one that was trained last is taken, and a line says
    which. Raises FileNotFoundError when there is none.
    """
    name = classifier_name(recipe, trial, setting, split)
    return _newest(
        Path(artifacts) / "classifiers",
        name,
        "*/config.json",
        "run `Mammals Enhancers 1` to `3` with these K, STRIDE, DIRECTION, PREDICTS, CONTEXTS, SCALE, "
        "SPLIT, SEED and TRIAL",
    )


def encoder_folder(encoder: str | None, profile: str, name: str, root: Path = ROOT) -> Path:
    """Folder of the language model to start from.

    `encoder` is None (this profile's model), another profile, or a model as `find_model` finds it.

    `name` is `model_name` of the setting. If several models of this setting differ in other parameters or in
    the corpus, the one trained last is taken, and a line says which; to take another, name its folder. A
    folder is relative to the project's.
    """
    if encoder and (found := find_model(encoder, root).folder / "config.json").is_file():
        return found.parent
    return _newest(
        profile_paths(encoder or profile, root)[2] / "language_models",
        name,
        "config.json",
        "run the notebook of `Genomic Language Models/` with these K, STRIDE, DIRECTION, PREDICTS, "
        "CONTEXTS, SCALE and SEED, "
        'or name a model in ENCODER (a profile such as "pilot", a folder, one of `models/` or of the hub)',
    )


def _newest(folder: Path, name: str, proof: str, way_out: str) -> Path:
    """The folder called `name`, or that and hashes, in which the newest file `proof` lies.

    Ties are broken by name.
    """
    dates = {}
    for path in sorted(folder.glob(f"{name}*")):
        files = list(path.glob(proof))
        if files and setting_of(path.name) == name:
            dates[path] = max(file.stat().st_mtime_ns for file in files)
    if not dates:
        raise FileNotFoundError(f"{folder / name} is missing: {way_out}")
    newest = max(dates, key=lambda path: dates[path])
    if len(dates) > 1:
        print(
            f"{len(dates)} models of this setting: {', '.join(path.name for path in dates)}; taken: "
            f"{newest.name}, trained last"
        )
    return newest
