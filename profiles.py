"""Where things are: the data and artifacts of a profile, its FASTA files, the folders of its models."""
import hashlib
import re
from pathlib import Path

__all__ = ["BUILT_IN", "ROOT", "encoder_folder", "genome_file", "genome_files", "model_name", "profile_paths", "recipe_name"]

ROOT = Path(__file__).resolve().parent
BUILT_IN = ("simulated", "pilot", "full")


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
        raise ValueError(f'PROFILE={profile!r}: use "simulated", "pilot", "full" or the path of an existing folder')
    if folder.name.lower() in BUILT_IN:
        raise ValueError(f'PROFILE={profile!r}: "{folder.name.lower()}" is a profile of this project. For that one write its name without a path '
                         f"(its data are in {root / 'data' / folder.name.lower()}, which may be a link); for data of your own rename the folder")
    place = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    return folder.name, folder, root / "artifacts" / f"{folder.name}-{place}"


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
    if encoder and (Path(encoder) / "config.json").exists():
        return Path(encoder)
    folder = profile_paths(encoder or profile, root)[2] / "language_models" / name
    if not (folder / "config.json").exists():
        raise FileNotFoundError(f"{folder} is missing: run the notebook of `Genomic Language Models/` with these K, STRIDE, DIRECTION, OUTPUT, "
                                'CONTEXTS, SCALE and SEED, or name a model in ENCODER (a profile such as "pilot", or a folder)')
    return folder
