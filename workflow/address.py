"""The one place that knows where the project is published, and everything that follows from it.

    python -m workflow.address            # prints the address
    python -m workflow.address update     # writes it wherever it belongs: `make links`

With an address, READMEs and notebooks offer to run in a browser, CITATION.cff and pyproject.toml name it, and
`make site` links to it. Without one, nothing links to a place that is not there.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import nbformat

from genomic_ulmfit.files import replacing
from genomic_ulmfit.profiles import ROOT
from workflow.experiments import NOTEBOOKS, SCORE, START

__all__ = ["ADDRESS", "BRANCH", "update"]

ADDRESS = ""  # such as "https://github.com/owner/name"; blank as long as there is none
BRANCH = "main"
IN_A_BROWSER = {  # notebooks that open in a browser, and what their reader does next
    START: "",
    SCORE: "; upload a file there, then set `CLASSIFIER` and `INPUT` in the cell of parameters",
}
ON_COLAB = """\
# On Colab only: the project, and the packages that Colab lacks (55 MB, half a minute)
import os, subprocess, sys
if "COLAB_RELEASE_TAG" in os.environ:
    project = "/content/project"
    if not os.path.exists(project):
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", "{address}", project], check=True)
    needed = f"{{project}}/.binder/colab.txt"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "-r", needed], check=True)
    os.chdir(f"{{project}}/{folder}")"""
NOT_YET = "<address of this repository>"


def _checked(address: str) -> str:
    """The address as it was given, without a slash at its end. Raises ValueError for any other kind."""
    if address and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+?", address):
        raise ValueError(
            f"ADDRESS = {address!r}: write https://github.com/<owner>/<name>; Colab opens no other"
        )
    return address


def _links(notebook: str, address: str) -> str:
    """Where a notebook opens in a browser, and what that costs."""
    path, repository = NOTEBOOKS[notebook], address.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{repository}/blob/{BRANCH}/{quote(path)}"
    binder = f"https://mybinder.org/v2/gh/{repository}/{BRANCH}?labpath={quote(path, safe='')}"
    return (
        f"[Colab]({colab}) (needs a Google account; its first cell sets it up, 55 MB in half a minute; "
        "libraries there are of other versions, so numbers differ a little) or "
        f"[Binder]({binder}) (needs none; minutes to start, 2 GB of memory at most)"
    )


def _readme(text: str, address: str) -> str:
    text = re.sub(r"(?m)^Without installing anything: .*\n\n", "", text)
    text = re.sub(
        r"(?m)^git clone .* (?=mammalian-genome-notebooks$)", f"git clone {address or NOT_YET} ", text
    )
    if address:
        offer = f"Without installing anything: `Start Here` on {_links(START, address)}.\n\n"
        text = re.sub(r"(?m)^(?=You need Python )", offer, text, count=1)
    return text


def _citation(text: str, address: str) -> str:
    text = re.sub(r"(?m)^repository-code: .*\n", "", text)
    return re.sub(r"(?m)^(license: .*\n)", rf"\1repository-code: {address}\n", text) if address else text


def _pyproject(text: str, address: str) -> str:
    text = re.sub(r"(?m)^\[project\.urls\]\n.*\n\n", "", text)
    named = f'[project.urls]\nRepository = "{address}"\n\n' if address else ""
    return re.sub(r"(?m)^(?=\[tool\.setuptools\])", named, text, count=1)


def _notebook(name: str) -> Callable[[str, str], str]:
    def written(text: str, address: str) -> str:
        notebook = nbformat.reads(text, 4)
        lede, *cells = notebook.cells
        lede.source = re.sub(r"(?m)^\| in a browser \|.*\n", "", lede.source)
        cells = [cell for cell in cells if cell.get("id") != "on-colab"]
        if address:
            row = f"| in a browser | {_links(name, address)}{IN_A_BROWSER[name]} |\n"
            lede.source = re.sub(r"(?m)^(\| cost \|.*\n)", lambda cost: cost[0] + row, lede.source)
            folder = str(Path(NOTEBOOKS[name]).parent)
            setup = nbformat.v4.new_code_cell(
                ON_COLAB.format(address=address, folder=folder),
                id="on-colab",
                metadata={"tags": ["skip-execution"]},  # by `make run`, which prepares nothing
            )
            cells = [setup, *cells]
        notebook.cells = [lede, *cells]
        return nbformat.writes(notebook) + "\n"

    return written


WRITTEN = {  # file: how its text follows from the address
    "README.md": _readme,
    "CITATION.cff": _citation,
    "pyproject.toml": _pyproject,
    **{NOTEBOOKS[name]: _notebook(name) for name in IN_A_BROWSER},
}


def update(root: Path = ROOT, address: str = ADDRESS, check: bool = False) -> list[str]:
    """Write the address wherever it belongs -> the files that changed; with `check`, that would change."""
    address, changed = _checked(address), []
    for name, written in WRITTEN.items():
        before = (root / name).read_text(encoding="utf-8")
        after = written(before, address)
        if after == before:
            continue
        changed.append(name)
        if not check:
            with replacing(root / name) as temporary:
                temporary.write_text(after, encoding="utf-8")
    return changed


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["update"]):
        sys.exit(__doc__)
    for line in update() if sys.argv[1:] else [_checked(ADDRESS)]:
        print(line)
