"""Executes a notebook, as a job of the workflow does: `run_notebook.py NOTEBOOK COPY PARAMETERS`.

COPY is the executed copy. PARAMETERS is a JSON object of values for the cells of parameters. Under
`torchrun` several processes train one model; workflow/README.md shows the commands.
"""

import argparse
import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from workflow.given import TAGS, notebook_parameters
from workflow.gpus import exclusive_gpu

if TYPE_CHECKING:  # papermill takes seconds to import, in which a Ctrl-C would print where it was
    from nbformat import NotebookNode

__all__ = ["done_file", "run_notebook", "run_until_stopped", "with_values"]


def run_notebook(source: str | Path, output: str | Path | None, values: dict) -> None:
    """Execute `source` in its own folder with `values` below its cells of parameters.

    A complete copy is left at `output`, unless None. Until it is complete the copy is called
    `<output>.unfinished.ipynb`, and an earlier one stays. Raises ValueError for a value of which the notebook
    has no parameter; RuntimeError, saying which cell failed and how, or that another process is executing the
    same copy: one that outlived the command which started it, say.
    """
    source = Path(source).absolute()
    notebook = with_values(source, values)
    if output is None:
        return _execute(source, notebook, None)
    output = Path(output).absolute()
    unfinished = output.with_suffix(".unfinished.ipynb")
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(output.with_name(f".{output.name}.lock"), timeout=0):
            done_file(output).unlink(missing_ok=True)
            _execute(source, notebook, unfinished)
            unfinished.replace(output)
            done_file(output).touch()
    except Timeout:
        raise RuntimeError(
            f"{output.stem}: another process is executing it to the same file, {output}: "
            "wait for its end, or end it"
        ) from None


def done_file(output: Path) -> Path:
    """An empty file beside an executed copy, newer than it, until another run of it begins."""
    return output.with_name(f".{output.stem}.done")


def with_values(source: Path, values: dict) -> "NotebookNode":
    """The notebook with a cell of `values` after the last cell of parameters.

    papermill alone would put it after the first.

    Raises ValueError for a name that no cell of parameters has: papermill would set it, and nothing would
    read it.
    """
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    if unknown := sorted(set(values) - set(notebook_parameters(source))):
        raise ValueError(f"{source.stem} has no parameter {', '.join(unknown)}")
    notebook = load_notebook_node(str(source))
    if not values:
        return notebook
    notebook = parameterize_notebook(notebook, values)
    injected = next(cell for cell in notebook.cells if "injected-parameters" in cell.metadata.tags)
    notebook.cells.remove(injected)
    last = max(place for place, cell in enumerate(notebook.cells) if set(TAGS) & set(cell.metadata.tags))
    notebook.cells.insert(last + 1, injected)
    return notebook


def _execute(source: Path, notebook: "NotebookNode", unfinished: Path | None) -> None:
    import papermill
    from nbclient.exceptions import DeadKernelError

    from workflow.kernel import OwnKernel

    see = f"\nSee {unfinished}" if unfinished else ""
    try:
        papermill.execute_notebook(
            notebook,
            unfinished and str(unfinished),
            cwd=str(source.parent),
            progress_bar=False,
            kernel_manager_class=OwnKernel,
            extra_arguments=["--log-level=ERROR"],
        )
    except papermill.PapermillExecutionError as error:
        raise RuntimeError(
            f"{source.stem}, code cell [{error.exec_count}]: {error.ename}: {error.evalue}{see}"
        ) from None
    except DeadKernelError:
        raise RuntimeError(f"{source.stem}: its kernel died, as it does when memory runs out.{see}") from None


def run_on_this_machine(source: str, output: str, values: dict, processes: int) -> None:
    """`run_notebook` on a GPU of its own, or by several processes; says when it began and what it took.

    Errors as there.
    """
    name, started = Path(output).stem, time.time()
    print(f"{name} ...", flush=True)
    if processes == 1:
        with exclusive_gpu(Path(".snakemake")) as environment:
            os.environ.update(environment)
            run_notebook(source, output, values)
    else:
        torchrun = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={processes}",
        ]
        if run_until_stopped([*torchrun, "-m", "workflow.run_notebook", source, output, json.dumps(values)]):
            raise RuntimeError(f"{name}, {processes} processes: see above")
    print(f"{name}: done in {time.time() - started:.0f} s", flush=True)


def run_until_stopped(command: list[str]) -> int:
    """Run a command and return its exit status.

    A Ctrl-C is handed on, and what the command says of it on the standard error is not shown: torchrun and
    its processes print where each of them was.
    """
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    stopped = threading.Event()

    def show() -> None:
        for line in process.stderr or ():
            if not stopped.is_set():
                print(line, end="", file=sys.stderr, flush=True)

    shown = threading.Thread(target=show, daemon=True)
    shown.start()
    try:
        status = process.wait()
    except KeyboardInterrupt:
        stopped.set()
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
        raise
    shown.join()
    return status


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebook")
    parser.add_argument("output", help="the executed copy")
    parser.add_argument("parameters", type=json.loads, help="a JSON object of values")
    parser.add_argument("--processes", type=int, default=1, help="to start, which train one model together")
    parser.add_argument("--threads", type=int, help="of all processes together")
    given = parser.parse_args()
    if given.threads:
        os.environ["OMP_NUM_THREADS"] = str(max(1, given.threads // given.processes))
    # For the result rows: which folders this machine has is of no use to others.
    said = ["-m", "workflow.run_notebook", Path(given.notebook).name, "COPY", json.dumps(given.parameters)]
    os.environ.setdefault("NOTEBOOKS_COMMAND", f"python {shlex.join(said)}")
    process, what = os.environ.get("RANK"), ""
    try:
        if process is None:
            run_on_this_machine(given.notebook, given.output, given.parameters, given.processes)
        else:
            what = f"process {process}: "
            run_notebook(given.notebook, given.output if process == "0" else None, given.parameters)
    except (RuntimeError, ValueError) as error:
        sys.exit(f"\nFAILED  {what}{error}\n")
    except KeyboardInterrupt:
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it would report the kernel's end
        sys.exit(130)


if __name__ == "__main__":
    main()
