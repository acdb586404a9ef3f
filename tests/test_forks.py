"""Processes forked from a server: it ends with whoever started it, and nothing depends on it."""

import os
import select
import subprocess
import sys

import nbformat
import pytest

from workflow import forks
from workflow.run_notebook import run_notebook

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="forks are watched on Linux alone")
LIBRARY = "wave"  # in Python itself, and of no use to a notebook


def shown(folder, threads: str) -> str:
    """What a notebook says: whether its kernel has the library already, where it is, threads it was given."""
    source = "import os, sys; print('wave' in sys.modules, os.getcwd(), os.environ['OMP_NUM_THREADS'])"
    path = folder / "source/Trial.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(
        nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source)],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        ),
        path,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", threads)
        run_notebook(path, folder / "copy.ipynb", {})
    return nbformat.read(folder / "copy.ipynb", 4).cells[-1].outputs[0].text


def exit_status(module, environment, **options) -> subprocess.CompletedProcess:
    command = forks.forked([sys.executable, "-m", *module], environment)
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, **options
    )


def test_a_module_is_forked_where_there_is_a_server_and_begins_from_nothing_where_it_is_gone(
    tmp_path, monkeypatch
):
    socket = tmp_path / "server/socket"
    socket.parent.mkdir()
    server = subprocess.Popen(
        [sys.executable, forks.__file__, "serve", socket, LIBRARY], stdin=subprocess.PIPE
    )
    environment = {forks.VARIABLE: str(socket), "PYTHONPATH": str(tmp_path), "SAID": "so"}
    (tmp_path / "ends.py").write_text(
        "import os, sys\nprint(os.environ['SAID'], sys.argv[1:])\nsys.exit(int(sys.argv[1]))\n"
    )
    monkeypatch.setenv(forks.VARIABLE, str(socket))
    assert shown(tmp_path, "3") == f"True {tmp_path / 'source'} 3\n"
    for status in (0, 3):
        done = exit_status(["ends", str(status)], environment, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (status, f"so ['{status}']\n", "")
    failed = exit_status(["ends", "one"], environment, cwd=tmp_path)
    assert failed.returncode == 1 and "invalid literal" in failed.stderr
    (tmp_path / "stays.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n")
    command = forks.forked([sys.executable, "-m", "stays"], environment)
    client = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )
    fork = os.pidfd_open(int(client.stdout.readline()))
    client.kill()
    assert select.select([fork], [], [], 60)[0], "a fork outlived the process that asked for it"
    os.close(fork)
    client.communicate()
    server.stdin.close()  # as when the process that started it has ended
    assert server.wait(timeout=60) == 0
    socket.unlink()
    socket.parent.rmdir()
    assert shown(tmp_path, "1") == f"False {tmp_path / 'source'} 1\n"
    assert exit_status(["ends", "3"], environment, cwd=tmp_path).returncode == 3
