"""What the notebooks of `Using the Models` say of their committed run stands in its outputs."""

import re
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "Using the Models"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?%?")


def numbers(text: str) -> set[str]:
    return {found.rstrip(",") for found in NUMBER.findall(text)}


def printed(notebook: nbformat.NotebookNode) -> str:
    """All text of the outputs, tables without their tags."""
    texts = []
    for output in (o for c in notebook.cells if c.cell_type == "code" for o in c.outputs):
        data = output.get("data", {})
        texts += [output.get("text", ""), data.get("text/plain", "")]
        html = re.sub(r"<style.*?</style>", "", data.get("text/html", ""), flags=re.S)
        texts.append(re.sub(r"<[^>]*>", " ", html))
    return "\n".join(texts)


def said_of_the_run(notebook: nbformat.NotebookNode) -> list[str]:
    """Paragraphs that speak of the profile `pilot`, on which the notebooks were run."""
    cells = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    return [p for source in cells for p in source.split("\n\n") if p.startswith("On `pilot`")]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_numbers_in_the_text_are_those_of_the_run(path):
    notebook = nbformat.read(path, 4)
    said = said_of_the_run(notebook)
    assert len(said) >= 3, "the opening and the outputs are read in the numbers of the run"
    missing = {n: p for p in said for n in numbers(p) - numbers(printed(notebook))}
    assert not missing


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_command_that_does_the_same_is_printed_once(path):
    commands = re.findall(r"^command: genomic-ulmfit \w+ .*$", printed(nbformat.read(path, 4)), re.M)
    assert len(commands) == 1 and "/work" not in commands[0] and "/tmp" not in commands[0]
