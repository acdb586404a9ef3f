"""The committed tree: pins in step, notebooks executed in order on real data, tables from results/."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import nbformat
import pytest
import yaml

from workflow.show_tables import update_tables

ROOT = Path(__file__).resolve().parents[1]
START = ROOT / "Start Here.ipynb"
FOLDERS = ("Genomic Language Models", "Enhancer Classification", "Using the Models")
NOTEBOOKS = [START, *(path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.ipynb")))]
FAMILIES = {
    "LM": [n for n in NOTEBOOKS if re.search(r"LM [123] ", n.name)],
    "Enhancers": [n for n in NOTEBOOKS if re.search(r"Enhancers [123] ", n.name)],
}
# Code newer than the outputs, until executed again on real data.
REWRITTEN: set[str] = set()


def code_cells(path: Path) -> list:
    """Those that a run executes: not the one that prepares Colab."""
    cells = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code" and c.source.strip()]
    return [c for c in cells if "skip-execution" not in c.metadata.get("tags", [])]


def test_conda_environment_takes_everything_but_python_and_pip_from_requirements():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert [re.split("[=<>]", d)[0] for d in dependencies if isinstance(d, str)] == ["python", "pip"]
    assert [d for d in dependencies if isinstance(d, dict)] == [{"pip": ["-r requirements.txt"]}]


def test_every_requirement_is_pinned_exactly():
    lines = [
        line
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert all(
        re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.]*(; platform_machine == .+)?", line)
        for line in lines
    ), lines


@pytest.mark.parametrize("family", FAMILIES)
def test_sister_notebooks_differ_in_their_first_cell_parameters_and_what_they_say_of_a_profile_only(family):
    sources = []
    for path in FAMILIES[family]:
        cells = nbformat.read(path, 4).cells
        parameters = [c for c in cells if set(c.metadata.get("tags", [])) & {"parameters", "more-parameters"}]
        assert cells[1 : 1 + len(parameters)] == parameters and parameters[0].metadata.tags == ["parameters"]
        assert re.findall(r"^\w+(?= = )", parameters[0].source, re.M).count("K") == 1
        names = [re.findall(r"^\w+(?= = )", c.source, re.M) for c in parameters]
        sources.append(
            names + [c.source for c in cells[1 + len(parameters) :] if not c.source.startswith("**On `")]
        )
    assert len(sources) == 3 and sources[0] == sources[1] == sources[2]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_was_run_in_order_without_error_or_noise_on_its_data(path):
    if path.stem in REWRITTEN:
        pytest.skip("to be executed again")
    cells = code_cells(path)
    counts = [c.execution_count for c in cells]
    assert None not in counts and counts == sorted(counts)
    outputs = [o for c in cells for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    printed = "".join(o.text for o in outputs if o.output_type == "stream")
    wanted = "simulated" if path == START else "pilot|mammals|mammals_matched|benchmark|full"
    assert re.search(rf"^profile ({wanted}) · scale ", printed, re.M), (
        f"the run's facts must name the profile ({wanted})"
    )


@pytest.mark.parametrize(
    "path", [n for n in NOTEBOOKS if re.search(r"Enhancers [5678] ", n.name)], ids=lambda p: p.stem
)
def test_every_figure_in_the_prose_stands_in_an_output_of_the_notebook(path):
    """Figures of three or four decimals: AUCs, accuracies, differences.

    They are read off the outputs, so they must be there.
    """
    if path.stem in REWRITTEN:
        pytest.skip("to be executed again")
    cells = nbformat.read(path, 4).cells
    outputs = str([o.get("data", o.get("text")) for c in code_cells(path) for o in c.outputs])
    told = {
        n
        for c in cells
        if c.cell_type == "markdown"
        for n in re.findall(r"(?<![\d.])\d\.\d{3,4}(?!\d)", c.source)
    }
    assert told and not {number for number in told if number not in outputs}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_finds_rows_where_a_checkout_that_cannot_be_written_keeps_them(path):
    code = "\n".join(cell.source for cell in code_cells(path))
    assert not re.search(r"ROOT / .results/(enhancers|language_models|predictions)", code), (
        "use profiles.results_folder()"
    )


@pytest.mark.parametrize("path", [*FAMILIES["LM"], *FAMILIES["Enhancers"]], ids=lambda p: p.stem)
def test_no_other_name_in_capitals_is_taken_for_a_parameter(path):
    """Parameters are collected by name and type, and a checkpoint is known by them, also in a second run."""
    for cell in code_cells(path):
        if {"parameters", "more-parameters"} & set(cell.metadata.get("tags", [])):
            continue
        tree = ast.walk(ast.parse(cell.source))
        bound = [a.asname or a.name for node in tree if isinstance(node, ast.ImportFrom) for a in node.names]
        tree = ast.walk(ast.parse(cell.source))
        bound += [n.id for n in tree if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        assert {name for name in bound if name.isupper()} <= {"SCALE"}, cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_short_enough_to_read(path):
    cells = code_cells(path)
    lengths = sorted(len(c.source.splitlines()) for c in cells)
    assert len(cells) <= 30 and lengths[len(lengths) // 2] <= 6
    assert not [line for c in cells for line in c.source.splitlines() if len(line) > 110]


def test_tables_in_the_readmes_are_those_of_the_results():
    assert update_tables(ROOT, check=True) == [], "run `make tables`"


def test_the_plan_for_large_runs_is_what_its_script_prints():
    printed = subprocess.run(
        [sys.executable, ROOT / "workflow/plan.py"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert printed in (ROOT / "workflow/README.md").read_text()


def test_the_slurm_profile_names_rules_of_the_workflow():
    profile = yaml.safe_load((ROOT / "workflow/slurm/config.yaml").read_text())
    assert set(profile["set-resources"]) <= {re.sub(r"\W+", "_", n.stem) for n in NOTEBOOKS}


def imported(path: Path) -> set[str]:
    """The project's own modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = {name: ROOT / f"{name.replace('.', '/')}.py" for name in names}
    return {name for name, file in files.items() if file.exists()}


def test_the_package_imports_nothing_above_it_and_in_no_circle():
    files = [*(ROOT / "genomic_ulmfit").glob("*.py"), ROOT / "utils.py"]
    imports = {".".join(f.relative_to(ROOT).with_suffix("").parts): imported(f) for f in files}
    assert len(imports) > 25 and "genomic_ulmfit.genome" in imports["utils"]
    assert set.union(*imports.values()) <= set(imports)
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


def test_the_root_is_short_enough_to_take_in():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    visible = {name.split("/")[0] for name in listed.stdout.split("\0") if name and not name.startswith(".")}
    assert 10 < len(visible) <= 22, sorted(visible)
