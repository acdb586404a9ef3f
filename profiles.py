"""Where things are: the data and artifacts of a profile, its FASTA files, the folders of its models."""
import hashlib
import os
import re
from pathlib import Path

__all__ = ["BUILT_IN", "ROOT", "encoder_folder", "genome_file", "genome_files", "model_name", "profile_paths", "project_path",
           "recipe_name", "results_folder"]

ROOT = Path(__file__).resolve().parent
BUILT_IN = ("simulated", "pilot", "mammals", "benchmark", "full")


def project_path(path: str | Path, root: Path = ROOT) -> Path:
    """A path that a parameter names: `~` is the home folder, and a relative path starts at the project's folder.

    The same in the workflow and in a notebook run by hand, whose own folder is another one.
    Raises ValueError for `~` where the system knows no home folder.
    """
    try:
        return Path(root) / Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path}: this system has no home folder for '~'; write the whole path") from error


def results_folder(root: Path = ROOT) -> Path:
    """Folder of the result rows and predictions: `results/`, or the one that the environment variable GENOMIC_RESULTS names."""
    return _place("GENOMIC_RESULTS", Path(root) / "results")


def _place(variable: str, default: Path) -> Path:
    """What an environment variable names, as an absolute path: a checkout that cannot be written keeps nothing."""
    return project_path(os.environ[variable], ROOT) if os.environ.get(variable) else default


def profile_paths(profile: str, root: Path = ROOT) -> tuple[str, Path, Path]:
    """Profile name or the path of a folder -> (name, data folder, artifacts folder).

    The artifacts of a folder of one's own lie in `<name>-<hash of where it lies>`, so that two of one name never share any.
    Raises ValueError for a name that is neither a known profile nor an existing folder, and for a folder that is called
    like a known profile: its results would pass for that profile's. The environment variables GENOMIC_DATA and
    GENOMIC_ARTIFACTS name other folders than the project's `data/` and `artifacts/`.
    """
    data, artifacts = _place("GENOMIC_DATA", root / "data"), _place("GENOMIC_ARTIFACTS", root / "artifacts")
    if profile in BUILT_IN:
        return profile, data / profile, artifacts / profile
    folder = project_path(profile, root).resolve()
    if not folder.is_dir():
        raise ValueError(f"PROFILE={profile!r}: use {', '.join(BUILT_IN)} or the path of an existing folder "
                         f"(a relative path starts at {root})")
    if (known := folder.name.lower()) in BUILT_IN:
        raise ValueError(f'PROFILE={profile!r}: "{known}" is a profile of this project. For that one write its name without a path '
                         f"(its data are in {data / known}, which may be a link); for data of your own rename the folder")
    place = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    return folder.name, folder, artifacts / f"{folder.name}-{place}"


def genome_files(data: Path) -> dict[str, list[Path]]:
    """FASTA files of `data/genomes` by species: `<species>[.<part>].fa[.gz]` (also .fna, .fasta), sorted.

    Raises FileNotFoundError when there are none.
    """
    pattern = re.compile(r"(?P<species>[^.]+)(\.[^/]*)?\.(fa|fna|fasta)(\.b?gz)?")
    files: dict[str, list[Path]] = {}
    for path in sorted((Path(data) / "genomes").glob("*")):
        if match := pattern.fullmatch(path.name):
            files.setdefault(match["species"], []).append(path)
    if not files:
        raise FileNotFoundError(f"{Path(data) / 'genomes'}: no <species>[.<part>].fa[.gz] there; `make run` or data/README.md tell how to get it")
    return files


def genome_file(data: Path, species: str) -> Path:
    """The first FASTA file of a species in `data/genomes` ("Human" and "human" are the same); without one, the first of all.

    Raises FileNotFoundError when there are none.
    """
    files = genome_files(data)
    return next((paths for name, paths in files.items() if name.lower() == species.lower()), next(iter(files.values())))[0]


def model_name(k: int, stride: int, direction: str, output: str, contexts, scale: str, seed: int) -> str:
    """Folder name of a model: no two settings share one, so a changed parameter never picks up a stale file."""
    if direction not in ("forward", "backward"):
        raise ValueError(f'DIRECTION={direction!r}: use "forward" or "backward"')
    joined = f"_contexts-{'-'.join(map(str, contexts))}" if contexts else ""
    return f"{k}-mer_stride-{stride}_{direction}_{output}{joined}_{scale}_seed-{seed}"


def recipe_name(pretrained: bool, fine_tuned: bool, kmers) -> str:
    """Name of a classifier's recipe in results: `ulmfit`, and what was left out of it or (`_kmers`) added to it."""
    left_out = {(True, True): "", (True, False): "_no_finetuning", (False, True): "_no_pretraining", (False, False): "_scratch"}
    return f"ulmfit{left_out[bool(pretrained), bool(fine_tuned)]}{'_kmers' if kmers else ''}"


def checked_label(label: str) -> str:
    """The label of a trial as it stands in results and in names of files.

    Raises ValueError for anything but lower-case letters, digits and underscores.
    """
    if not re.fullmatch("[a-z0-9_]*", label):
        raise ValueError(f"LABEL={label!r}: use lower-case letters, digits and underscores")
    return label


def encoder_folder(encoder: str | None, profile: str, name: str, root: Path = ROOT) -> Path:
    """Folder of the language model to start from: `encoder` is None (this profile's), another profile, or a model's folder."""
    if encoder and (project_path(encoder, root) / "config.json").exists():
        return project_path(encoder, root)
    folder = profile_paths(encoder or profile, root)[2] / "language_models" / name
    if not (folder / "config.json").exists():
        raise FileNotFoundError(f"{folder} is missing: run the notebook of `Genomic Language Models/` with these K, STRIDE, DIRECTION, OUTPUT, "
                                'CONTEXTS, SCALE and SEED, or name a model in ENCODER (a profile such as "pilot", or a folder)')
    return folder
