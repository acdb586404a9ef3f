"""Where things are: the data and artifacts of a profile, its FASTA files, the folders of its models."""
import hashlib
import re
import warnings
from pathlib import Path

__all__ = ["BUILT_IN", "ROOT", "data_files", "encoder_folder", "genome_file", "genome_files",
           "model_name", "profile_paths", "recipe_name", "sample_files", "samples_in"]

ROOT = Path(__file__).resolve().parent
BUILT_IN = ("simulated", "pilot", "mammals", "mammals_matched", "benchmark", "full")
_GENOME_NAME = re.compile(r"(?P<species>[^.]+)(\..*)?\.(fa|fas|fasta|ffn|fna|mfa)(\.(masked|rm|sm))?(\.b?gz)?", re.I)
_SAMPLE_NAME = re.compile(r"(?P<word>positive|negative)_samples(\.(fa|fas|fasta|ffn|fna|mfa|seq|txt))?(\.b?gz)?", re.I)
# What stands beside the data and is not missed: indexes by other programs, where simulated motifs lie.
_COMPANION_NAME = re.compile(r".*\.(fai|gzi)|truth\.tsv", re.I)


def profile_paths(profile: str, root: Path = ROOT) -> tuple[str, Path, Path]:
    """Profile name or the path of a folder -> (name, data folder, artifacts folder).

    The artifacts of a folder of one's own lie in `<name>-<hash of where it lies>`, so that two of one name never share any.
    Raises ValueError for a name that is neither a known profile nor an existing folder, and for a folder that is called
    like a known profile: its results would pass for that profile's.
    """
    if profile in BUILT_IN:
        return profile, root / "data" / profile, root / "artifacts" / profile
    folder = Path(profile).expanduser().resolve()
    if not folder.is_dir():
        raise ValueError(f'PROFILE={profile!r}: use one of {", ".join(BUILT_IN)}, or the path of an existing folder')
    if folder.name.lower() in BUILT_IN:
        raise ValueError(f'PROFILE={profile!r}: "{folder.name.lower()}" is a profile of this project. For that one write its name without a path '
                         f"(its data are in {root / 'data' / folder.name.lower()}, which may be a link); for data of your own rename the folder")
    place = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    return folder.name, folder, root / "artifacts" / f"{folder.name}-{place}"


def genome_files(data: Path) -> dict[str, list[Path]]:
    """FASTA files of `data/genomes` by species, sorted: `<species>[.<part>].fa[.gz]`.

    The ending may also be .fas, .fasta, .ffn, .fna or .mfa, then .masked, .rm or .sm, then .bgz, all in either case. Warns
    of files in the folder that are called otherwise and so not read. Raises FileNotFoundError when there are none.
    """
    folder, files = Path(data) / "genomes", _genome_files(data)
    if not files:
        raise FileNotFoundError(f"{folder}: no <species>[.<part>].fa[.gz] there; "
                                "`make run` or data/README.md tell how to get it")
    read = [path for paths in files.values() for path in paths]
    _warn_of_unread(folder, read, "a genome is called <species>[.<part>].fa[.gz]")
    return files


def sample_files(data: Path) -> dict[str, dict[str, list[Path]]]:
    """Sample files of `data/enhancers`: by species, the files found for "positive" and for "negative", sorted.

    A species is a folder with both. A file is called `positive_samples` or `negative_samples`, without an ending or with
    those of a genome, .txt or .seq. Warns of files in the folder that are called otherwise and so not read.
    """
    files = _sample_files(data)
    read = [path for words in files.values() for paths in words.values() for path in paths]
    _warn_of_unread(Path(data) / "enhancers", read, "a species is a folder with positive_samples and negative_samples")
    return files


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
    """The sample files in the folder of one species by "positive" and "negative", sorted; no key for what is not there."""
    files: dict[str, list[Path]] = {}
    for path in sorted(Path(folder).glob("*")):
        if path.is_file() and (match := _SAMPLE_NAME.fullmatch(path.name)):
            files.setdefault(match["word"].lower(), []).append(path)
    return files


def _sample_files(data: Path) -> dict[str, dict[str, list[Path]]]:
    species = {folder.name: samples_in(folder) for folder in sorted((Path(data) / "enhancers").glob("*"))}
    return {name: files for name, files in species.items() if len(files) == 2}


def _warn_of_unread(folder: Path, read: list[Path], rule: str) -> None:
    """Name the files below a folder that are neither read nor companions of those."""
    there = {path for path in folder.rglob("*") if not path.is_dir() and not _COMPANION_NAME.fullmatch(path.name)}
    unread = sorted(there - set(read))
    if unread:
        names = ", ".join(path.relative_to(folder).as_posix() for path in unread[:10]) + " ..." * (len(unread) > 10)
        warnings.warn(f"{folder}: not read: {names} ({rule})", stacklevel=3)


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
    if encoder and (Path(encoder) / "config.json").exists():
        return Path(encoder)
    folder = profile_paths(encoder or profile, root)[2] / "language_models" / name
    if not (folder / "config.json").exists():
        raise FileNotFoundError(f"{folder} is missing: run the notebook of `Genomic Language Models/` with these K, STRIDE, DIRECTION, OUTPUT, "
                                'CONTEXTS, SCALE and SEED, or name a model in ENCODER (a profile such as "pilot", or a folder)')
    return folder
