"""The project as static pages, to read in: `make site`.

    python -m workflow.site.build    # artifacts/site/index.html

Sphinx with MyST-NB turns READMEs and executed notebooks into pages; nothing is executed. `check` opens them
in a browser.
"""

import shutil
import subprocess
import sys
import tempfile

from genomic_ulmfit.profiles import ROOT
from workflow.experiments import NOTEBOOKS, START

__all__ = ["READING_ORDER", "SITE", "toctrees"]

SITE = ROOT / "artifacts" / "site"


def _folder(name: str) -> list[str]:
    """The README of a folder, then its notebooks as they are numbered, without endings."""
    notebooks = sorted(path for path in NOTEBOOKS.values() if path.startswith(f"{name}/"))
    return [f"{name}/README", *(path.removesuffix(".ipynb") for path in notebooks)]


def _cards() -> list[str]:
    return [f"models/{path.parent.name}/README" for path in sorted((ROOT / "models").glob("*/README.md"))]


READING_ORDER = {  # heading in the list of contents: pages
    "": ["README", START],
    "1 Language models": _folder("Genomic Language Models"),
    "2 Classification": _folder("Enhancer Classification"),
    "3 Using the models": _folder("Using the Models"),
    "Trained models": ["models/README", *_cards()],
    "Behind it": [
        "data/README",
        "results/README",
        "workflow/README",
        "benchmarks/README",
        "tests/README",
        "CONTRIBUTING",
    ],
}


def toctrees() -> str:
    """The list of contents, as it is appended to the first page."""
    blocks = []
    for heading, pages in READING_ORDER.items():
        listed = "\n".join(f"/{page}" for page in pages if page != "README")
        caption = f":caption: {heading}\n" if heading else ""
        blocks.append(f"```{{toctree}}\n:hidden:\n{caption}\n{listed}\n```")
    return "\n\n" + "\n\n".join(blocks) + "\n"


def build() -> int:
    """Make the pages anew -> Sphinx's exit status, not 0 where a link leads nowhere."""
    shutil.rmtree(SITE, ignore_errors=True)
    options = "-b html -q -W --keep-going".split()
    with tempfile.TemporaryDirectory() as parsed:
        places = ["-c", ROOT / "workflow/site", "-d", parsed, ROOT, SITE]
        status = subprocess.run([sys.executable, "-m", "sphinx", *options, *places]).returncode
    if not status:
        shutil.copy(SITE / "README.html", SITE / "index.html")  # what a server shows of a folder
        print(f"{SITE / 'index.html'}: {len(list(SITE.rglob('*.html')))} pages")
    return status


if __name__ == "__main__":
    sys.exit(build())
