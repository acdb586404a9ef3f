"""A notebook from the command line: what is left behind, and that no two processes write one copy."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat
import pytest

from workflow.run_notebook import run_notebook

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def notebook(tmp_path):
    cells = [
        nbformat.v4.new_code_cell("N = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("print(10 // N)"),
    ]
    path = tmp_path / "source/Trial.ipynb"
    path.parent.mkdir()
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def test_a_complete_copy_is_left_and_a_failed_one_is_named_and_goes_on(notebook, tmp_path):
    copy = tmp_path / "copies/Trial.ipynb"
    with pytest.raises(
        RuntimeError, match=r"Trial, code cell \[\d\]: ZeroDivisionError(.|\n)*Trial.unfinished.ipynb"
    ):
        run_notebook(notebook, copy, {"N": 0})
    assert not copy.exists()
    run_notebook(notebook, copy, {"N": 5})
    assert nbformat.read(copy, 4).cells[-1].outputs[0].text == "2\n"
    assert [path.name for path in copy.parent.glob("*.ipynb")] == [copy.name]


def test_a_process_that_outlived_its_command_is_not_joined_by_a_second(notebook, tmp_path):
    copy = tmp_path / "Trial.ipynb"
    holder = textwrap.dedent("""
        import sys, unittest.mock
        from workflow import run_notebook
        def wait(*_):
            print("at work", flush=True)
            sys.stdin.read()
        with unittest.mock.patch.object(run_notebook, "_execute", wait):
            run_notebook.run_notebook(*sys.argv[1:], {})
    """)
    first = subprocess.Popen(
        [sys.executable, "-c", holder, notebook, copy],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout.readline() == "at work\n"
    with pytest.raises(RuntimeError, match="another process is executing it"):
        run_notebook(notebook, copy, {})
    first.kill()
    first.wait()
    run_notebook(notebook, copy, {})
    assert copy.exists()


def test_values_are_injected_below_the_second_cell_of_parameters(notebook, tmp_path):
    """Above it, the second cell would set them back."""
    trial = nbformat.read(notebook, 4)
    trial.cells.insert(1, nbformat.v4.new_code_cell("M = 1", metadata={"tags": ["more-parameters"]}))
    trial.cells[-1].source = "print(N, M)"
    nbformat.write(trial, notebook)
    run_notebook(notebook, tmp_path / "Trial.ipynb", {"N": 2, "M": 3})
    copy = nbformat.read(tmp_path / "Trial.ipynb", 4)
    assert copy.cells[-1].outputs[0].text == "2 3\n"
    assert [c.metadata.tags for c in copy.cells] == [
        ["parameters"],
        ["more-parameters"],
        ["injected-parameters"],
        [],
    ]


def test_a_value_that_no_cell_of_parameters_has_is_refused(notebook, tmp_path):
    with pytest.raises(ValueError, match="Trial has no parameter M"):
        run_notebook(notebook, tmp_path / "Trial.ipynb", {"N": 2, "M": 3})


def test_the_kernel_is_that_of_the_running_python_and_ends_without_noise(
    notebook, tmp_path, monkeypatch, capfd
):
    """Another kernel of the same name, found first by way of JUPYTER_PATH, is not used."""
    other = tmp_path / "elsewhere/kernels/python3"
    other.mkdir(parents=True)
    (other / "kernel.json").write_text(
        '{"argv": ["/bin/false"], "display_name": "another", "language": "python"}'
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "elsewhere"))
    trial = nbformat.read(notebook, 4)
    trial.cells[-1].source = "import sys\nprint(sys.executable)"
    nbformat.write(trial, notebook)
    run_notebook(notebook, tmp_path / "Trial.ipynb", {})
    assert nbformat.read(tmp_path / "Trial.ipynb", 4).cells[-1].outputs[0].text.strip() == sys.executable
    assert "KeyboardInterrupt" not in capfd.readouterr().err


def test_a_kernel_that_has_nothing_left_to_do_is_not_interrupted(notebook, tmp_path, capfd):
    """It would say so in the terminal after a command that ended well."""
    trial = nbformat.read(notebook, 4)
    trial.cells[-1].source = (
        "import signal\n"
        "signal.signal(signal.SIGINT, lambda *_: open('interrupted', 'w').close())\n"
        "get_ipython().kernel.pre_handler_hook = get_ipython().kernel.post_handler_hook = lambda: None"
    )
    nbformat.write(trial, notebook)
    run_notebook(notebook, tmp_path / "Trial.ipynb", {})
    assert not (notebook.parent / "interrupted").exists()


def test_the_earlier_copy_stays_until_the_new_one_is_complete(notebook, tmp_path):
    copy = tmp_path / "Trial.ipynb"
    run_notebook(notebook, copy, {"N": 5})
    before = copy.read_bytes()
    with pytest.raises(RuntimeError):
        run_notebook(notebook, copy, {"N": 0})
    assert copy.read_bytes() == before


INTERRUPTED = """
    import signal, sys
    from workflow import run_notebook
    assert "papermill" not in sys.modules
    signal.signal(signal.SIGINT, signal.default_int_handler)
    child = "import sys, time; print('at work', file=sys.stderr, flush=True); time.sleep(60)"
    try:
        run_notebook.run_until_stopped([sys.executable, "-c", child])
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_ctrl_c_prints_no_traceback_of_several_processes_and_no_import_takes_long():
    """The child itself would print one; it is ended, and what it said before is shown."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr.readline() == "at work\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == "" and process.returncode == 130
