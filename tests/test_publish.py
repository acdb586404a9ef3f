"""publish.py: outputs go with the code that made them, and with no other."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from workflow.publish import publish, with_outputs


def notebook(code: str = "print(1)") -> nbformat.NotebookNode:
    return new_notebook(
        cells=[
            new_markdown_cell("# Title"),
            new_code_cell("K = 3", metadata={"tags": ["parameters"]}),
            new_code_cell(code),
        ]
    )


def executed(code: str = "print(1)") -> nbformat.NotebookNode:
    ran = notebook(code)
    ran.cells.insert(2, new_code_cell("K = 5", metadata={"tags": ["injected-parameters"]}, execution_count=2))
    ran.cells[3].update(execution_count=3, outputs=[new_output("stream", name="stdout", text="1\n")])
    return ran


def test_outputs_are_taken_over_without_the_injected_cell():
    source = notebook()
    published = with_outputs(source, executed())
    assert [c.source for c in published.cells] == ["# Title", "K = 3", "print(1)"]
    assert published.cells[2].outputs[0].text == "1\n" and published.cells[2].execution_count == 3
    assert source.cells[2].outputs == []


def test_comments_and_line_breaks_may_have_changed():
    assert with_outputs(notebook("print(\n    1)  # one"), executed()).cells[2].outputs[0].text == "1\n"


def test_outputs_of_other_code_are_refused():
    with pytest.raises(ValueError, match="changed after it was executed"):
        with_outputs(notebook("print(2)"), executed())


def test_publish_writes_what_agrees_and_leaves_the_rest(tmp_path, capsys):
    for name, code in (("Mammals A", "print(1)"), ("Mammals B", "print(2)")):
        source, copy = (
            tmp_path / "Folder" / f"{name}.ipynb",
            tmp_path / "artifacts/pilot/notebooks/Folder" / f"{name}.ipynb",
        )
        for path, content in ((source, notebook(code)), (copy, executed())):
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(content, path)
    nbformat.write(executed(), copy.with_name("Mammals A (from scratch).ipynb"))  # not in the tree
    assert [path.name for path in publish("pilot", root=tmp_path)] == ["Mammals A.ipynb"]
    assert nbformat.read(tmp_path / "Folder/Mammals A.ipynb", 4).cells[2].outputs
    assert not nbformat.read(tmp_path / "Folder/Mammals B.ipynb", 4).cells[2].outputs
    assert "Mammals B.ipynb: the notebook was changed" in capsys.readouterr().out


def test_a_notebook_in_the_projects_own_folder_is_published_too(tmp_path):
    nbformat.write(notebook(), tmp_path / "Start.ipynb")
    copy = tmp_path / "artifacts/simulated/notebooks/Start.ipynb"
    copy.parent.mkdir(parents=True)
    nbformat.write(executed(), copy)
    nbformat.write(executed(), copy.with_name("Start.unfinished.ipynb"))
    assert publish("simulated", root=tmp_path) == [tmp_path / "Start.ipynb"]


def test_only_the_notebooks_asked_for_are_published(tmp_path):
    for name in ("Mammals A", "Mammals B"):
        source, copy = (
            tmp_path / f"Folder/{name}.ipynb",
            tmp_path / f"artifacts/pilot/notebooks/Folder/{name}.ipynb",
        )
        for path, content in ((source, notebook()), (copy, executed())):
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(content, path)
    assert [path.name for path in publish("pilot", "Mammals B", tmp_path)] == ["Mammals B.ipynb"]
    assert not nbformat.read(tmp_path / "Folder/Mammals A.ipynb", 4).cells[2].outputs


def test_nothing_to_publish(tmp_path):
    with pytest.raises(FileNotFoundError, match="make run PROFILE=pilot"):
        publish("pilot", root=tmp_path)
