"""`python forks.py SOCKET`: Jupyter kernels forked from a process that has imported torch.

A notebook's imports take four seconds of computing, and the tests execute some sixty notebooks. Every kernel
still is a process of its own; only libraries are shared, nothing of the project. `kernel`, called in the
process that a kernel manager has started (`sitecustomize.py`), asks for a fork, passes signals on to it and
ends as it ends.
"""

import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys

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
# What looks on import whether it is in a notebook, or imports what does: each kernel imports it again.
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


def kernel(path: str) -> None:
    """Run the kernel that this process was started for in a fork of the server at `path`.

    Ends the process.
    """
    arguments = sys.orig_argv[sys.orig_argv.index("ipykernel_launcher") :]
    wanted = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        socket.send_fds(server, [b"fds"], [0, 1, 2])
        server.sendall(json.dumps(wanted).encode() + b"\n")
        answers = server.makefile()
        forked = int(answers.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda received, frame: os.kill(forked, received))
        os._exit(int(answers.readline() or 1))


def serve(path: str) -> None:
    """Answer until killed; says "ready" when it listens."""
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # as a kernel sets it
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
    for name in LIBRARIES:
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.split(".")[0] in LOOK_AROUND]:
        del sys.modules[name]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who look after a kernel
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os._exit(look_after(connection))
            connection.close()


def look_after(connection: socket.socket) -> int:
    """Fork one kernel, report how it ended, and end it should the process that asked for it be gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, descriptors, _, _ = socket.recv_fds(connection, 3, 3)
    wanted = json.loads(connection.makefile().readline())
    forked = os.fork()
    if forked == 0:
        connection.close()
        be_kernel(descriptors, **wanted)
    connection.sendall(f"{forked}\n".encode())
    ended = os.pidfd_open(forked)
    if ended not in select.select([ended, connection], [], [])[0]:
        os.kill(forked, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])
    try:
        connection.sendall(f"{status if status >= 0 else 128 - status}\n".encode())
    except BrokenPipeError:
        pass
    return 0


def be_kernel(descriptors: list[int], arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    os.setsid()
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    import torch

    torch.set_num_threads(int(environment.get("OMP_NUM_THREADS", 1)))
    sys.argv = [
        *arguments,
        f"--IPKernelApp.parent_handle={os.getppid()}",
    ]  # its default was read before the fork
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
