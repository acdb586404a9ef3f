"""Copy the outputs of executed notebooks (`artifacts/<profile>/notebooks/`) into the notebooks of the tree.

    python -m workflow.publish pilot
    python -m workflow.publish path/to/folder "Across Species"     only notebooks with this in their name

For maintainers: what a reader sees on a code-hosting site are these outputs. A copy whose code differs from
the notebook in the tree is refused, so outputs always belong to the code above them.
"""

import ast
import sys
from pathlib import Path

import nbformat

from genomic_ulmfit.profiles import ROOT, profile_paths

__all__ = ["with_outputs", "publish"]


def with_outputs(source: nbformat.NotebookNode, executed: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy of `source` with the outputs of `executed`, without the cell of parameters that the run put in.

    Raises ValueError if the code differs; prose, comments and line breaks may have been improved since.
    """
    ran = [c for c in executed.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    code = [
        [ast.dump(ast.parse(c.source)) for c in cells if c.cell_type == "code"]
        for cells in (ran, source.cells)
    ]
    if code[0] != code[1]:
        raise ValueError("the notebook was changed after it was executed: run it again")
    published = nbformat.from_dict(source)
    for cell, run in zip(
        (c for c in published.cells if c.cell_type == "code"), (c for c in ran if c.cell_type == "code")
    ):
        cell.execution_count, cell.outputs = run.execution_count, run.outputs
    return published


def publish(profile: str, only: str = "", root: Path = ROOT) -> list[Path]:
    """Bring the executed notebooks of a profile (with `only` in their name) into the tree.

    Returns those written. Raises FileNotFoundError when there are none.
    """
    name, _, artifacts = profile_paths(profile, root)
    copies = sorted((artifacts / "notebooks").rglob("*.ipynb"))
    # No unfinished ones, no variations.
    copies = [
        c for c in copies if only in c.name and (root / c.relative_to(artifacts / "notebooks")).exists()
    ]
    if not copies:
        raise FileNotFoundError(
            f"no executed notebooks in {artifacts / 'notebooks'}: `make run PROFILE={name}` makes them"
        )
    written = []
    for copy in copies:
        target = root / copy.relative_to(artifacts / "notebooks")
        try:
            notebook = with_outputs(nbformat.read(target, 4), nbformat.read(copy, 4))
        except ValueError as error:
            print(f"left as it is: {target.name}: {error}")
            continue
        nbformat.write(notebook, target)
        written.append(target)
    return written


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    for path in publish(*sys.argv[1:]):
        print(f"published: {path.name}")
