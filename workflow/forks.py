"""Notebooks and their kernels as forks of a process that has imported torch, fastai, papermill and the like.

Imports take several seconds of computing for each notebook, as much as a small notebook itself. Everything
is a process of its own still, with the same numbers; only libraries are shared, nothing of the project.
Instead of `python -m MODULE ...`, `python forks.py run SOCKET MODULE ...` is started: it asks the server at
SOCKET for a fork that runs the module, passes signals on to it and ends as it ends.
"""

import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import threadpoolctl

__all__ = ["VARIABLE", "forked", "forks"]

VARIABLE = "GENOMIC_FORKS"  # the environment's: the server's socket, empty or missing where there is none
PATIENCE = 60.0  # seconds that a process waits for the server to have imported everything
KERNEL = "ipykernel_launcher"
LIBRARIES = (
    "captum.attr",
    "dnaio",
    "fastai.callback.fp16",
    "fastai.callback.schedule",
    "fastai.metrics",
    "fastai.text.models.awdlstm",
    "ipykernel.kernelapp",
    "logomaker",
    "matplotlib.pyplot",
    "pandas",
    "papermill",
    "pyarrow.parquet",
    "pysam",
    "safetensors.torch",
    "scipy.stats",
    "sklearn.calibration",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    "torch",
)
# What looks on import whether it is in a notebook, or imports what does: each fork imports it again.
LOOK_AROUND = {
    "apswutils",
    "captum",
    "fastai",
    "fastcore",
    "fastdownload",
    "fasthtml",
    "fastlite",
    "fastprogress",
    "fasttransform",
    "ipywidgets",
    "matplotlib_inline",
    "tqdm",
}


@contextmanager
def forks() -> Iterator[dict[str, str]]:
    """What to add to the environment for `forked` commands to be forks of a server.

    It ends with this block, and imports its libraries meanwhile. Nothing is added where processes cannot be
    watched as this needs (elsewhere than on Linux). Not for machines with a GPU: a library that has looked
    for one cannot be forked.
    """
    if not hasattr(os, "pidfd_open"):
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "socket"))
        # Its input ends when this process does, however that ends. One thread: a fork would lack the others.
        server = subprocess.Popen(
            [sys.executable, __file__, "serve", path, *LIBRARIES],
            stdin=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        try:
            yield {VARIABLE: path}
        finally:
            server.kill()
            server.communicate()


def forked(command: list[str], environment: Mapping[str, str] = os.environ) -> list[str]:
    """`python -m MODULE ...`, or where the environment names a server, the command for a fork instead."""
    if not environment.get(VARIABLE) or "-m" not in command:
        return command
    return [command[0], __file__, "run", environment[VARIABLE], *command[command.index("-m") + 1 :]]


def run(path: str, module: str, arguments: list[str]) -> None:
    """Run a module in a fork of the server at `path`; end as it ends.

    Where there is no server the module runs here. A kernel ends when the process that started it is gone.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, frame: os._exit(128 + received))  # nothing runs yet
    wanted: dict[str, Any] = {
        "module": module,
        "arguments": arguments,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
    }
    with socket.socket(socket.AF_UNIX) as server:
        if not connected(server, path):
            be(**wanted)
        socket.send_fds(server, [b"fds"], [0, 1, 2])
        server.sendall(json.dumps(wanted).encode() + b"\n")
        answers = server.makefile()
        fork = int(answers.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda received, frame: os.kill(fork, received))
        watched: list = [server]
        if module == KERNEL:
            try:
                watched.append(os.pidfd_open(int(os.environ["JPY_PARENT_PID"])))  # as Jupyter names its own
            except ProcessLookupError:
                os._exit(1)
        if server in select.select(watched, [], [])[0]:
            os._exit(int(answers.readline() or 1))
        os._exit(1)


def connected(server: socket.socket, path: str) -> bool:
    """Connect to the server at `path` once it listens; False if it does not within `PATIENCE`, or is gone."""
    deadline = time.monotonic() + PATIENCE
    while os.path.isdir(os.path.dirname(path)) and time.monotonic() < deadline:
        try:
            server.connect(path)
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.05)
    return False


def serve(path: str, libraries: Sequence[str]) -> None:
    """Import libraries, then fork a process for whoever connects, until the standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the notebooks, which end by themselves
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # as a kernel sets it
    for name in libraries:
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.split(".")[0] in LOOK_AROUND]:
        del sys.modules[name]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who look after a fork
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os._exit(look_after(connection))
            connection.close()


def look_after(connection: socket.socket) -> int:
    """Fork one process, report how it ended, and end it should the one that asked for it be gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, descriptors, _, _ = socket.recv_fds(connection, 3, 3)
    wanted = json.loads(connection.makefile().readline())
    fork = os.fork()
    if fork == 0:
        connection.close()
        os.setsid()
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
        be(**wanted)
    connection.sendall(f"{fork}\n".encode())
    ended = os.pidfd_open(fork)
    if ended not in select.select([ended, connection], [], [])[0]:
        os.kill(fork, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])
    try:
        connection.sendall(f"{status if status >= 0 else 128 - status}\n".encode())
    except BrokenPipeError:
        pass
    return 0


def be(module: str, arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Be `python -m MODULE ...` in a folder with an environment, to the end of this process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    named = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [path for path in [folder, *named] if path and path not in sys.path]
    # What libraries read from the environment as they are loaded.
    threads = int(environment.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    threadpoolctl.threadpool_limits(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if module == KERNEL:  # the default of this option was read before the fork
        arguments = [*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"]
    sys.argv, status = [module, *arguments], 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))  # a module does not find what lies here
    if sys.argv[1] == "serve":
        serve(sys.argv[2], sys.argv[3:])
    else:
        run(sys.argv[2], sys.argv[3], sys.argv[4:])
