"""A notebook from the command line: what is left behind, and that no two processes write one copy."""
import subprocess
import sys
import textwrap

import nbformat
import pytest

from run_notebook import run_notebook


@pytest.fixture
def notebook(tmp_path):
    cells = [nbformat.v4.new_code_cell("N = 1", metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell("print(10 // N)")]
    path = tmp_path / "source/Trial.ipynb"
    path.parent.mkdir()
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def test_a_complete_copy_is_left_and_a_failed_one_is_named_and_goes_on(notebook, tmp_path):
    copy = tmp_path / "copies/Trial.ipynb"
    with pytest.raises(RuntimeError, match=r"Trial, code cell \[\d\]: ZeroDivisionError(.|\n)*Trial.unfinished.ipynb"):
        run_notebook(notebook, copy, {"N": 0})
    assert not copy.exists()
    run_notebook(notebook, copy, {"N": 5})
    assert nbformat.read(copy, 4).cells[-1].outputs[0].text == "2\n"
    assert [path.name for path in copy.parent.glob("*.ipynb")] == [copy.name]


def test_a_process_that_outlived_its_command_is_not_joined_by_a_second(notebook, tmp_path):
    copy = tmp_path / "Trial.ipynb"
    holder = textwrap.dedent("""
        import sys, unittest.mock, run_notebook
        def wait(*_):
            print("at work", flush=True)
            sys.stdin.read()
        with unittest.mock.patch("run_notebook._execute", wait):
            run_notebook.run_notebook(*sys.argv[1:], {})
    """)
    first = subprocess.Popen([sys.executable, "-c", holder, notebook, copy], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "at work\n"
    with pytest.raises(RuntimeError, match="another process is executing it"):
        run_notebook(notebook, copy, {})
    first.kill()
    first.wait()
    run_notebook(notebook, copy, {})
    assert copy.exists()
