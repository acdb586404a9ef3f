"""The project's address: where it is written, and that nothing links to it as long as there is none."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
import yaml

from workflow import address
from workflow.site.build import READING_ORDER

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "https://github.com/lab/genomes"


@pytest.fixture
def root(tmp_path):
    for name in address.WRITTEN:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def texts(root: Path) -> dict[str, str]:
    return {name: (root / name).read_text(encoding="utf-8") for name in address.WRITTEN}


def test_the_tree_is_in_step_with_the_constant():
    assert address.update(check=True) == [], "run `make links`"


def test_with_an_address_every_place_has_it_and_without_it_again_none(root):
    address.update(root, "")
    before = texts(root)
    assert not [name for name, text in before.items() if "colab.research" in text or "mybinder" in text]
    assert address.update(root, ADDRESS) == list(address.WRITTEN)
    assert address.update(root, ADDRESS) == []
    assert yaml.safe_load((root / "CITATION.cff").read_text())["repository-code"] == ADDRESS
    project = tomllib.loads((root / "pyproject.toml").read_text())
    assert project["project"]["urls"] == {"Repository": ADDRESS} and project["tool"]["setuptools"]
    assert f"\ngit clone {ADDRESS} mammalian-genome-notebooks\n" in (root / "README.md").read_text()
    address.update(root, "")
    assert texts(root) == before


@pytest.mark.parametrize("name", ["README.md", *(n for n in address.WRITTEN if n.endswith(".ipynb"))])
def test_links_open_notebooks_that_are_there(root, name):
    address.update(root, ADDRESS)
    text = (root / name).read_text()
    colab = re.findall(r"https://colab\.research\.google\.com/github/lab/genomes/blob/main/([^)\s]+)\)", text)
    binder = re.findall(r"https://mybinder\.org/v2/gh/lab/genomes/main\?labpath=([^)\s]+)\)", text)
    opened = "Start Here.ipynb" if name == "README.md" else name
    assert [unquote(path) for path in colab] == [unquote(path) for path in binder] == [opened]
    assert (ROOT / opened).is_file()


@pytest.mark.parametrize("name", [n for n in address.WRITTEN if n.endswith(".ipynb")])
def test_the_cell_for_colab_does_nothing_elsewhere_and_is_not_run_by_the_workflow(root, name, monkeypatch):
    address.update(root, ADDRESS)
    cell = nbformat.read(root / name, 4).cells[1]
    assert cell.metadata.tags == ["skip-execution"] and ast.parse(cell.source)
    asked = []
    monkeypatch.setattr("subprocess.run", lambda command, check: asked.append(command))
    monkeypatch.setattr("os.chdir", lambda folder: asked.append(folder))
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    exec(cell.source, {})
    assert asked == []
    monkeypatch.setenv("COLAB_RELEASE_TAG", "any")
    exec(cell.source, {})
    clone, install, folder = asked
    assert clone[:2] == ["git", "clone"] and clone[-2:] == [ADDRESS, "/content/project"]
    needed = Path(install[-1])
    assert (ROOT / needed.relative_to("/content/project")).is_file()
    assert Path(folder) == Path("/content/project") / Path(name).parent


@pytest.mark.parametrize(
    "wrong", ["https://gitlab.com/lab/genomes", "github.com/lab/genomes", "https://github.com/lab"]
)
def test_an_address_of_another_kind_is_refused_before_anything_is_written(root, wrong):
    before = texts(root)
    with pytest.raises(ValueError, match="write https://github.com/<owner>/<name>"):
        address.update(root, wrong)
    assert texts(root) == before


def imported_by(path: Path, seen: set[Path]) -> set[str]:
    """First names of the modules that a file or notebook imports, and the project's files that it loads.

    What a function loads of the project when it is called (another command, say) is not followed.
    """
    if path.suffix == ".ipynb":
        cells = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    else:
        cells = [path.read_text(encoding="utf-8")]
    tree, found = ast.parse("\n".join(cells)), set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module]
        for name in names:
            files = [folder / f"{name.replace('.', '/')}.py" for folder in (ROOT, ROOT / "data")]
            own = next((file for file in files if file.is_file()), None)
            if own is None:
                found.add(name.split(".")[0])
            elif own not in seen and node in tree.body:
                seen.add(own)
                found |= imported_by(own, seen)
    return found


def test_colab_is_given_what_it_lacks_of_what_the_notebooks_import_and_the_versions_are_ours():
    """Colab's own packages, as googlecolab/backend-info lists them (pip-freeze.txt, 19 August 2026)."""
    of_colab = {
        *(
            "IPython",
            "fastai",
            "fastcore",
            "fastprogress",
            "filelock",
            "huggingface_hub",
            "matplotlib",
            "numpy",
        ),
        *(
            "pandas",
            "psutil",
            "pyarrow",
            "requests",
            "safetensors",
            "scipy",
            "sklearn",
            "torch",
            "tqdm",
            "typer",
        ),
    }
    lines = (ROOT / ".binder/colab.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert set(pins) <= {line.split(";")[0] for line in (ROOT / "requirements.txt").read_text().splitlines()}
    seen: set[Path] = set()
    needed = set.union(*(imported_by(ROOT / n, seen) for n in address.WRITTEN if n.endswith(".ipynb")))
    extra = {"memelite", "modiscolite"}  # of pyproject.toml, for motifs
    lacking = needed - of_colab - extra - set(sys.stdlib_module_names)
    assert {pin.split("==")[0] for pin in pins} == lacking


def test_binder_has_the_versions_of_the_tests():
    """All but PyTorch and torchvision, which are those of conda-forge: without CUDA."""
    *_, pip = yaml.safe_load((ROOT / ".binder/environment.yml").read_text())["dependencies"]
    lines = (ROOT / ".binder/colab.txt").read_text().splitlines()
    ours = {line.split(";")[0] for line in (ROOT / "requirements.txt").read_text().splitlines()}
    assert set(pip["pip"]) <= ours and {line for line in lines if "==" in line} <= set(pip["pip"])


@pytest.mark.parametrize("url", [ADDRESS, "https://github.com/fork/genomes", ""])
def test_the_site_is_published_from_the_address_only(tmp_path, url):
    steps = yaml.safe_load((ROOT / ".github/workflows/site.yml").read_text())["jobs"]["address"]["steps"]
    (tmp_path / "workflow").mkdir()
    constant = re.sub('(?m)^ADDRESS = "[^"]*"', f'ADDRESS = "{url}"', Path(address.__file__).read_text())
    (tmp_path / "workflow/address.py").write_text(constant)
    told = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "lab/genomes"}
    environment = os.environ | told | {"GITHUB_OUTPUT": str(tmp_path / "output")}
    subprocess.run(["bash", "-e", "-c", steps[1]["run"]], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "output").read_text() == f"here={str(url == ADDRESS).lower()}\n"


def test_every_notebook_and_readme_is_on_the_site():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = {Path(name) for name in listed.stdout.split("\0") if name}
    wanted = {str(f.with_suffix("")) for f in files if f.suffix == ".ipynb" or f.name == "README.md"}
    pages = [page for pages in READING_ORDER.values() for page in pages]
    assert len(pages) == len(set(pages)) and set(pages) == wanted | {"CONTRIBUTING"}
