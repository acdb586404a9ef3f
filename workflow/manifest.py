"""Reproducibility: what a run's numbers depend on, and a comparison with another run's.

    python -m workflow.manifest write simulated
        artifacts/simulated/manifest.json, from the rows in results/
    python -m workflow.manifest verify
        run the simulated series again in a copy of the tree; compare with results/simulated.manifest.json
    python -m workflow.manifest accept
        make the last written manifest of simulated the one that `verify` compares with

Between two runs on one type of processor, with the same pins and threads, every number must be the same;
elsewhere AUC may differ by `TOLERANCE["auroc"]` and bits per base by `TOLERANCE["bits_per_base"]`: sums are
rounded in another order there.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch

from genomic_ulmfit.files import replacing
from genomic_ulmfit.profiles import ROOT, data_files, profile_paths, results_folder
from genomic_ulmfit.results import ENHANCER_KEY, LANGUAGE_MODEL_KEY, code_version, read_results

__all__ = ["compare_manifests", "manifest", "verify"]

TOLERANCE = {
    "auroc": 0.08,
    "bits_per_base": 0.02,
}  # of `simulated`: 80 test sequences a species, one standard error of an AUC is .05
_ASKED = ("PROFILE", "ONLY", "PARAMS", "FAN_OUT", "GENOMIC_DATA", "GENOMIC_ARTIFACTS", "GENOMIC_RESULTS")
COMMITTED = "results/simulated.manifest.json"
TABLES = {"language_models": (LANGUAGE_MODEL_KEY, "bits_per_base"), "enhancers": (ENHANCER_KEY, "auroc")}
LEFT_OUT = shutil.ignore_patterns(
    ".*",
    "artifacts",
    "__pycache__",
    "simulated",
    "pilot",
    "mammals",
    "benchmark",
    "full",
    "mpra",
    "predictions",
    "enhancers.csv",
    "language_models.csv",
    "variant_effects.csv",
)


def manifest(profile: str, root: Path = ROOT) -> dict:
    """What a profile's numbers depend on (data, pins, code, processor), and each row of `results/`."""
    name, data, _ = profile_paths(profile, root)
    return {
        "profile": name,
        "code": code_version(root),
        "python": platform.python_version(),
        "processor": _processor(),
        "pins": _installed(root),
        "data": _checksums(data),
        "numbers": {table: _numbers(name, table, root) for table in TABLES},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    return f"{model}, {torch.backends.cpu.get_cpu_capability()}"


def _installed(root: Path) -> dict[str, str]:
    """Installed versions of what requirements.txt pins for every machine (without conditional lines)."""
    lines = (root / "requirements.txt").read_text().splitlines()
    return {
        name: version(name)
        for name in (line.split("==")[0] for line in lines if line and line[0] != "#" and ";" not in line)
    }


def _checksums(data: Path) -> dict[str, str]:
    """SHA-256 by file: as verified when downloaded where there is a record of that, else computed."""
    record = data / "downloads/checksums.json"
    if record.exists():  # it has the files' times as well, which are no content
        return {
            path: entry["checksum"]
            for path, entry in sorted(json.loads(record.read_text(encoding="utf-8")).items())
        }
    return {path.relative_to(data).as_posix(): _checksum(path) for path in data_files(data)}


def _checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _numbers(profile: str, table: str, root: Path) -> dict[str, dict]:
    """The numbers of each row by its key, with the device that made them; seconds are no result."""
    key, _ = TABLES[table]
    rows = read_results(results_folder(root) / f"{table}.csv", missing_ok=True)
    rows = rows[rows.profile == profile].drop(columns=["profile", "command", "seconds"])
    # A hash of weights, which elsewhere differ in the last bit.
    names = [column for column in key if column not in ("profile", "encoder_hash")]
    numbers = {}
    for row in json.loads(rows.to_json(orient="records")):
        identity = " ".join(f"{name}={row[name]}" for name in names if row[name] not in (None, ""))
        numbers[identity] = {name: value for name, value in row.items() if name not in names}
    return numbers


def compare_manifests(found: dict, expected: dict) -> tuple[str, list[str]]:
    """(what was compared, and how exactly; the differences that should not be, one a line)."""
    depends = ("processor", "python", "pins", "data")
    other = [name for name in depends if found[name] != expected[name]]
    exact = not other
    n_exact, n = 0, 0
    differences = (
        ["the data differ: the simulator no longer writes the same bytes"] if "data" in other else []
    )
    for table, (_, measure) in TABLES.items():
        here, there = found["numbers"][table], expected["numbers"][table]
        differences += [f"{table}: only one has {row}" for row in sorted(here.keys() ^ there.keys())]
        for row in sorted(here.keys() & there.keys()):
            bit_for_bit = exact and here[row]["device"] == there[row]["device"]
            n, n_exact = n + 1, n_exact + bit_for_bit
            if bit_for_bit:
                wrong = [
                    name for name in there[row] if name != "version" and here[row][name] != there[row][name]
                ]
            else:
                wrong = (
                    [measure] if abs(here[row][measure] - there[row][measure]) > TOLERANCE[measure] else []
                )
            differences += [
                f"{table}: {row}: {name} is {here[row][name]}, was {there[row][name]}" for name in wrong
            ]
    why = f" (other {', '.join(other)})" if other else ""
    return f"{n_exact} rows bit for bit, {n - n_exact} within tolerance{why}", differences


def verify(root: Path = ROOT) -> tuple[str, list[str]]:
    """Run the simulated series again in a copy of the tree; compare it with the committed manifest.

    Returns as `compare_manifests`.

    Raises FileNotFoundError when there is none, CalledProcessError when the series fails.
    """
    expected = json.loads((root / COMMITTED).read_text())
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        shutil.copytree(root, copy, ignore=LEFT_OUT)
        subprocess.run([sys.executable, "-m", "workflow.run_series"], cwd=copy, check=True)
        return compare_manifests(manifest("simulated", copy), expected)


def write(profile: str, root: Path = ROOT) -> Path:
    """Write the manifest of a profile into its artifacts; returns where it is."""
    path = profile_paths(profile, root)[2] / "manifest.json"
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(manifest(profile, root), indent=1) + "\n")
    return path


def main(command: str, profile: str = "simulated") -> str | None:
    if command == "write":
        write(profile)
    elif command == "accept":
        shutil.copyfile(profile_paths("simulated")[2] / "manifest.json", ROOT / COMMITTED)
    elif command == "verify":
        for name in _ASKED:
            os.environ.pop(name, None)  # the copy is run as a checkout that nobody has set anything for
        how, differences = verify()
        print("\n".join(differences))
        print(f"Compared: {how}; {len(differences) or 'no'} differences")
        return "the numbers are not those of the committed manifest" if differences else None
    else:
        return __doc__
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]) if len(sys.argv) > 1 else __doc__)
