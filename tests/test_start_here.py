"""`Start Here` runs from top to bottom without anything that another notebook made."""

import re
from pathlib import Path

import nbformat
from simulate import simulate

from workflow.run_notebook import run_notebook

ROOT = Path(__file__).resolve().parents[1]


def test_it_runs_alone_twice_in_one_kernel_and_records_nothing(tmp_path, monkeypatch):
    simulate(tmp_path / "data/simulated", genome_bases=20_000, sequences=100)
    for name, folder in {
        "GENOMIC_DATA": "data",
        "GENOMIC_ARTIFACTS": "artifacts",
        "GENOMIC_RESULTS": "results",
    }.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "Start Here.ipynb", 4)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in 2 * code]
    nbformat.write(notebook, tmp_path / "twice.ipynb")
    run_notebook(tmp_path / "twice.ipynb", tmp_path / "copy.ipynb", {})
    cells = nbformat.read(tmp_path / "copy.ipynb", 4).cells
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [
        output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2 * 2
    first, again = (
        "".join(output.text for cell in half for output in cell.outputs if output.output_type == "stream")
        for half in (cells[: len(code)], cells[len(code) :])
    )
    assert first == again and "changed: nothing" in first
    assert not (tmp_path / "results").exists() and not (tmp_path / "artifacts").exists()


def test_what_the_text_says_of_numbers_is_what_was_printed():
    cells = nbformat.read(ROOT / "Start Here.ipynb", 4).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    printed = "\n".join(
        str(output.get("text", "")) + str(output.get("data", {}).get("text/html", ""))
        for cell in cells
        for output in cell.get("outputs", [])
    )
    claimed = set(re.findall(r"\d+\.\d{3}|\d,\d{3}", prose))
    assert len(claimed) > 10 and [number for number in claimed if number not in printed] == []
