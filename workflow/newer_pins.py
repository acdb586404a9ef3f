"""Which pins have newer releases, and whether the tests pass with them: to be run every week or so.

python -m workflow.newer_pins          in a new environment beside the project's, which stays as it is
python -m workflow.newer_pins --list   only the list
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from genomic_ulmfit.profiles import ROOT

__all__ = ["newer_releases", "with_newest"]


def newer_releases(requirements: str) -> dict[str, tuple[str, str]]:
    """(pinned, newest) by name of what requirements.txt pins, where the newest release is another one."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "list", "--outdated", "--format=json", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
    )
    newest = {_canonical(row["name"]): row["latest_version"] for row in json.loads(done.stdout)}
    pins = dict(
        line.partition(";")[0].split("==")
        for line in requirements.splitlines()
        if line and not line.startswith("#")
    )
    return {
        name: (pin, newest[_canonical(name)])
        for name, pin in pins.items()
        if newest.get(_canonical(name), pin) != pin
    }


def _canonical(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def with_newest(requirements: str, newer: dict[str, tuple[str, str]]) -> str:
    """requirements.txt with the newer releases in place of those pins."""

    def renewed(line: str) -> str:
        pin, semicolon, marker = line.partition(";")
        name = pin.split("==")[0]
        return f"{name}=={newer[name][1]}{semicolon}{marker}" if name in newer else line

    return "\n".join(map(renewed, requirements.splitlines())) + "\n"


def passes(requirements: str) -> bool:
    """Whether the tests pass in a new environment with these requirements."""
    with tempfile.TemporaryDirectory() as folder:
        python, listed = Path(folder) / "venv/bin/python", Path(folder) / "requirements.txt"
        listed.write_text(requirements)
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
        installed = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", listed]
        )
        return (
            installed.returncode == 0
            and subprocess.run([python, "-m", "pytest", "-q"], cwd=ROOT).returncode == 0
        )


if __name__ == "__main__":
    text = (ROOT / "requirements.txt").read_text()
    found = newer_releases(text)
    print(
        "\n".join(f"{name}: {pin} -> {newest}" for name, (pin, newest) in found.items())
        or "every pin is the newest release"
    )
    if found and "--list" not in sys.argv:
        sys.exit(0 if passes(with_newest(text, found)) else "the tests do not pass with the newest releases")
