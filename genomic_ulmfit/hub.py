"""Models by name from a model hub: `hub:<owner>/<name>[@<revision>]`, through `huggingface_hub`.

The cache, the address of the hub (HF_ENDPOINT), offline work (HF_HUB_OFFLINE) and tokens are that library's
business; here is what a name means, which files are fetched, and that they are what the hub says they are.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["FILES", "HubModel", "from_hub", "is_hub_name"]

FILES = ("config.json", "model.safetensors")  # nothing else is fetched, and nothing pickled
PREFIX = "hub:"
_FORM = re.compile(r"hub:(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


class HubModel(NamedTuple):
    """A model of the hub on this machine: its folder, its repository there and the commit it is of."""

    folder: Path
    repository: str
    commit: str

    @property
    def name(self) -> str:
        """What files that it makes are called by."""
        return self.repository.split("/")[1]

    @property
    def pinned(self) -> str:
        """The name that will always mean these files: `hub:<owner>/<name>@<commit>`."""
        return f"{PREFIX}{self.repository}@{self.commit}"


def is_hub_name(name: str | Path) -> bool:
    """Whether a model's name is one of the hub."""
    return str(name).startswith(PREFIX)


def from_hub(name: str) -> HubModel:
    """Fetch the model `hub:<owner>/<name>[@<revision>]`, or find it in the cache.

    A revision is a commit, a tag or a branch; without one it is the newest commit. Both files are of one
    commit, and their content is checked against the hashes by which the hub keeps them: SHA-256 for large
    files, git's SHA-1 for small ones. A commit that was fetched before needs no network. Of a tag, a branch
    or no revision the commit that was fetched last is taken where there is no network.

    Raises ValueError for a name of another form and for damaged files, FileNotFoundError where the hub has no
    such model, revision or file, ConnectionError where it cannot be reached and the cache holds no copy.
    """
    match = _FORM.fullmatch(str(name))
    if not match:
        raise ValueError(f"{name}: write hub:<owner>/<name>, or hub:<owner>/<name>@<revision>")
    repository, revision = match["repository"], match["revision"]
    config = _fetch(name, repository, FILES[0], revision)
    commit = config.parent.name  # the cache keeps files as .../snapshots/<commit>/<file>
    paths = [config, *(_fetch(name, repository, file, commit) for file in FILES[1:])]
    for path in paths:
        _check(path)
    return HubModel(config.parent, repository, commit)


def _fetch(name: str, repository: str, file: str, revision: str | None) -> Path:
    # The import takes a while, and few need it.
    from huggingface_hub import constants, errors, hf_hub_download

    try:
        return Path(hf_hub_download(repository, file, revision=revision))
    except errors.HFValidationError as error:
        raise ValueError(f"{name}: no hub has a model of that name ({error})") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise ConnectionError(
            f"{name}: {constants.ENDPOINT} cannot be reached, and {constants.HF_HUB_CACHE} holds no copy of "
            f"{file}. Connect, or copy that folder from a machine that has fetched the model"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(f"{name}: {repository} has no revision {revision}") from error
    except errors.EntryNotFoundError as error:
        raise FileNotFoundError(
            f"{name}: holds no {file}; models of this project are {' and '.join(FILES)}, nothing pickled"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"{name}: {constants.ENDPOINT} has no such model, or it is private: then set HF_TOKEN"
        ) from error
    except (errors.HfHubHTTPError, errors.FileMetadataError) as error:
        reason = " ".join(str(error).split())
        raise ConnectionError(f"{name}: {constants.ENDPOINT} answers with an error ({reason})") from error


def _check(path: Path) -> None:
    """Compare a file of the cache with its hash, by which the link to it names it. Raises ValueError.

    Where the file system has no links the name says nothing; `saved_models` still checks the weights.
    """
    expected = Path(os.readlink(path)).name if path.is_symlink() else ""
    content = path.read_bytes()
    if len(expected) == 64:
        found = hashlib.sha256(content).hexdigest()
    elif len(expected) == 40:
        found = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    else:
        return
    if found != expected:
        raise ValueError(
            f"{path}: damaged: its hash is {found}, the hub's is {expected}. Remove {path.resolve()} and "
            f"{path}, and fetch it again"
        )
