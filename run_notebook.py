"""Executes a notebook; `torchrun run_notebook.py NOTEBOOK OUTPUT PARAMETERS` has several processes do so that train one model.

OUTPUT is the executed copy. PARAMETERS is a JSON object of values for the parameters cell. The README's "Long runs and clusters"
shows the commands.
"""
import json
import os
import shlex
import sys
from pathlib import Path

import papermill
from filelock import FileLock, Timeout
from nbclient.exceptions import DeadKernelError

__all__ = ["run_notebook"]


def run_notebook(source: str | Path, output: str | Path | None, values: dict) -> None:
    """Execute `source` in its own folder with `values` in its parameters cell; a complete copy is left at `output`, unless None.

    Until it is complete the copy is called `<output>.unfinished.ipynb`. Raises RuntimeError, saying which cell failed and how, or that
    another process is executing the same copy: one that outlived the command which started it, say.
    """
    if output is None:
        return _execute(Path(source), None, values)
    output = Path(output)
    unfinished = output.with_suffix(".unfinished.ipynb")
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(output.with_name(f".{output.name}.lock"), timeout=0):
            _execute(Path(source), unfinished, values)
            unfinished.replace(output)
    except Timeout:
        raise RuntimeError(f"{output.stem}: another process is executing it to the same file, {output}: wait for its end, or end it") from None


def _execute(source: Path, unfinished: Path | None, values: dict) -> None:
    see = f"\nSee {unfinished}" if unfinished else ""
    try:
        papermill.execute_notebook(str(source), unfinished and str(unfinished), values, cwd=str(source.parent), progress_bar=False,
                                   extra_arguments=["--log-level=ERROR"])
    except papermill.PapermillExecutionError as error:
        raise RuntimeError(f"{source.stem}, code cell [{error.exec_count}]: {error.ename}: {error.evalue}{see}") from None
    except DeadKernelError:
        raise RuntimeError(f"{source.stem}: its kernel died, as it does when memory runs out.{see}") from None


if __name__ == "__main__":
    try:
        notebook, copy, given = sys.argv[1:]
        process = int(os.environ.get("RANK", 0))
        os.environ.setdefault("NOTEBOOKS_COMMAND", f"torchrun {shlex.join(sys.argv)}")  # for the result rows
        run_notebook(notebook, None if process else copy, json.loads(given))
    except RuntimeError as error:
        sys.exit(f"\nFAILED  process {process}: {error}\n")
