"""Which notebooks to run, in which order, and when to run them again: the logic behind the Snakefile."""

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from genomic_ulmfit.allowed import ALL, FOLDS, ONE_TEST_SET
from genomic_ulmfit.hub import is_hub_name
from genomic_ulmfit.parameters import check_parameters
from genomic_ulmfit.profiles import (
    BUILT_IN,
    MPRA,
    ROOT,
    data_files,
    find_model,
    model_name,
    profile_paths,
    project_path,
    unread_files,
)
from workflow.experiments import (
    BASELINES,
    CLASSIFIERS,
    LANGUAGE_MODELS,
    MAKERS,
    MEASURED,
    NEEDS,
    NOTEBOOKS,
    PRESETS,
    READS,
    SETTINGS,
    SHIPPED,
    START,
    USES,
    VARIED,
)
from workflow.given import as_typed, checked, notebook_parameters, parse_parameters

__all__ = ["Series", "defaults", "relative", "run_name"]

FILES = ("INPUT", "GENOME", "VARIANTS")  # parameters that name a file of the user's
MODELS = ("CLASSIFIER", "ENCODER")  # parameters that name a model
_DEFAULTS: dict[Path, dict[str, dict]] = {}


def defaults(root: Path = ROOT) -> dict[str, dict]:
    """Names and default values of every notebook's parameters."""
    if root not in _DEFAULTS:
        _DEFAULTS[root] = {name: notebook_parameters(root / path) for name, path in NOTEBOOKS.items()}
    return _DEFAULTS[root]


@dataclass(frozen=True)
class Series:
    """The runs of one command: which notebooks, with which values, after which others.

    A run is a notebook and the name of a variation ("" for the notebook's own parameters). Raises ValueError
    for a user's mistake, in one line that says the way out.

    profile, only, params, fan_out, processes: as `make run` takes them; `params` is text or a dictionary.
    """

    profile: str = "simulated"
    only: str = ""
    params: str | Mapping = ""
    fan_out: str = ""
    processes: int = 1
    root: Path = ROOT

    def __post_init__(self):
        if self.fan_out not in ("", "species", "folds"):
            raise ValueError(
                f"FAN_OUT={self.fan_out!r}: use species, or folds for species and folds, or leave it out"
            )
        if self.fan_out and not self.species:
            raise ValueError(
                f"FAN_OUT: no species in {self.data / 'enhancers'}; "
                "fetch or simulate the data first (data/README.md)"
            )
        if not any(self.present(notebook) for notebook in NOTEBOOKS):
            raise ValueError(
                f"{self.data} holds neither genomes/ nor enhancers/ with files of sequences in them"
            )
        if not self.wanted:
            raise ValueError(f"ONLY={self.only!r} names none of {[run_name(*run) for run in self.runs]}")
        for notebook in dict.fromkeys(notebook for notebook, _ in self.reached):
            self._check_files(notebook)
        self._check_species()
        for run in self.reached:
            self._check_values(*run)

    @cached_property
    def paths(self) -> tuple[str, Path, Path]:
        return profile_paths(self.profile, self.root)

    @property
    def data(self) -> Path:
        return self.paths[1]

    @property
    def artifacts(self) -> Path:
        return self.paths[2]

    @cached_property
    def given(self) -> dict:
        """PARAMS as values of the parameters' types; models of the hub by the commit that they are of now."""
        everything = {name: value for known in defaults(self.root).values() for name, value in known.items()}
        params = parse_parameters(self.params) if isinstance(self.params, str) else self.params
        if "PROFILE" in params:  # data and executed copies would be those of another profile
            raise ValueError(
                f"PARAMS: PROFILE is a variable of its own: make run PROFILE={params['PROFILE']}"
            )
        return {name: _pinned(name, value) for name, value in checked(params, everything).items()}

    @property
    def settings(self) -> dict:
        """Values for every notebook: the profile's, over them those given."""
        profile = self.profile if self.profile in BUILT_IN else str(self.data)
        return {**PRESETS.get(self.profile, {}), "PROFILE": profile, **self.given}

    @property
    def command(self) -> str:
        """What to type for the same runs; it stands in the result rows."""
        typed = ", ".join(f"{name}: {as_typed(value)}" for name, value in self.given.items())
        command = f"make run PROFILE={shlex.quote(self.profile)}" + (
            f" PARAMS={shlex.quote(typed)}" if typed else ""
        )
        return command + (f" PROCESSES={self.processes}" if self.processes > 1 else "")

    @cached_property
    def species(self) -> list[str]:
        """Those that run on their own, when the command asks for it."""
        if not self.fan_out or self.given.get("SPECIES"):
            return self.given.get("SPECIES") or []
        found = sorted({path.parent.name for path in self._sequences["enhancers"]})
        return [*found, ALL] if found and self.given.get("TOGETHER") else found

    @cached_property
    def runs(self) -> list[tuple[str, str]]:
        return [
            (notebook, variation)
            for notebook in NOTEBOOKS
            if self.present(notebook)
            for variation in self.variations(notebook)
        ]

    @cached_property
    def wanted(self) -> list[tuple[str, str]]:
        """The runs that ONLY names; "Enhancers 1" is not "Across Species"."""
        return [run for run in self.runs if re.search(re.escape(self.only) + r"(?!\d)", run_name(*run), re.I)]

    @cached_property
    def reached(self) -> list[tuple[str, str]]:
        """The runs that ONLY names, and all that they need."""
        reached = list(self.wanted)
        for notebook, _ in reached:  # grows meanwhile
            needed = [(n, variation) for n in self.needs(notebook) for variation in self.variations(n)]
            reached += [run for run in needed if run not in reached]
        return reached

    def remarks(self) -> list[str]:
        """What the user should know before anything runs, a line each."""
        known = {name for notebook, _ in self.reached for name in defaults(self.root)[notebook]}
        unused = [name for name in self.given if name not in known]
        lines = [f"PARAMS: no notebook of this run has {', '.join(unused)}: ignored"] if unused else []
        for notebook in dict.fromkeys(notebook for notebook, _ in self.wanted):
            trained = [n for n in self.needs(notebook) if n in SETTINGS]
            if self.only and notebook in USES and trained:
                lines.append(
                    f"{notebook}: no CLASSIFIER is named, so it takes that of {trained[0]}, "
                    f"which is trained first unless it is there. The shipped one needs no training: "
                    f'PARAMS="CLASSIFIER: {SHIPPED}"'
                )
        if self.profile not in MAKERS:
            lines += unread_files(self.data).values()
        return lines

    def variations(self, notebook: str) -> dict[str, dict]:
        """Those that are run of a notebook, and what each changes; the one without a name is the usual run.

        Species that were asked for take the place of those that a profile has there.
        """
        named = {"": {}, **VARIED.get(self.profile, {}).get(notebook, {})}
        if "SPECIES" in self.given:
            of_all = {"SPECIES": self.given["SPECIES"]}
            named = {
                name: changed | (of_all if "SPECIES" in changed else {}) for name, changed in named.items()
            }
        if not self.fan_out or notebook not in (*CLASSIFIERS, BASELINES):
            return named
        return {
            name: changed
            for variation in named.items()
            for name, changed in self._fanned_out(notebook, *variation)
        }

    def _fanned_out(self, notebook: str, variation: str, changed: dict) -> Iterator[tuple[str, dict]]:
        """The runs, one a species or one a species and fold, that together are one run of a notebook."""
        split = {**self.settings, **changed}.get("SPLIT", "original")
        by_fold = (
            self.fan_out == "folds"
            and notebook in CLASSIFIERS
            and split not in ONE_TEST_SET
            and " " not in split  # one fold alone is asked for
        )
        for species in self.species:
            for fold in range(FOLDS) if by_fold else [None]:
                name = ", ".join(filter(None, [variation, species, by_fold and f"fold {fold}"]))
                yield (
                    name,
                    changed | {"SPECIES": [species]} | ({"SPLIT": f"{split} {fold}"} if by_fold else {}),
                )

    def values(self, notebook: str, variation: str) -> dict:
        """What the run changes of the notebook's own values, in the order of names."""
        known = defaults(self.root)[notebook]
        values = {**self.settings, **self.variations(notebook)[variation]}
        changed = {
            name: value
            for name, value in values.items()
            if name in known and _plain(value) != _plain(known[name])
        }
        return json.loads(_plain(changed))

    def files(self, notebook: str, variation: str) -> str:
        """What the files that the values name are now: a model by its weights, any other by size and time.

        As text, to be compared.
        """
        values = self.values(notebook, variation)
        found = {name: _state(project_path(values[name], self.root)) for name in FILES if values.get(name)}
        for name in MODELS:
            if values.get(name):
                found[name] = [_weights(config) for config in self._configs(notebook, values, name)]
        return _plain(found)

    def _configs(self, notebook: str, values: dict, name: str) -> list[Path]:
        """Descriptions of the models that CLASSIFIER or ENCODER may mean: a model or another profile."""
        config = find_model(values[name], self.root).folder / "config.json"
        if name == "CLASSIFIER" or config.is_file():
            return [config]
        try:
            artifacts = profile_paths(values[name], self.root)[2]
        except ValueError:
            return []
        usual = {"DIRECTION": "forward", "PREDICTS": "bases"}  # where a notebook has no such parameter
        setting = {**usual, **defaults(self.root)[notebook], **values}
        model = model_name(
            setting["K"],
            setting["STRIDE"],
            setting["DIRECTION"],
            setting["PREDICTS"],
            setting["CONTEXTS"],
            setting["SCALE"] or "*",
            setting["SEED"],
        )
        return sorted((artifacts / "language_models").glob(f"{model}*/config.json"))

    def needs(self, notebook: str) -> list[str]:
        """The notebooks that must have run before."""
        if self.stands_alone(notebook):
            return []
        needed = [
            n
            for n in NEEDS[notebook]
            if self.present(n) and not (n in SETTINGS and self._classifier(notebook))
        ]
        encoder = notebook in CLASSIFIERS and self.settings.get("ENCODER")
        return [n for n in needed if not (encoder and n in LANGUAGE_MODELS)]

    def reads(self, notebook: str) -> list[Path]:
        """The data that a notebook opens itself.

        Of a folder of the user's the files of sequences, and nothing else there.
        """
        if self.stands_alone(notebook):
            return []
        if notebook == MEASURED and self.experiment:
            return [self.fetched_experiment] if self.fetched_experiment else []
        if self.profile in MAKERS:
            return [self.made] if notebook in READS else []
        parts = READS.get(notebook, []) if not (notebook in USES and self.given.get("GENOME")) else []
        return [path for part in parts for path in self._sequences[part]]

    @cached_property
    def _sequences(self) -> dict[str, list[Path]]:
        """The files of a folder of the user's that hold genomes or labelled sequences."""
        parts = {
            "genomes": [],
            "enhancers": [],
            "experiment": sorted((self.data / "experiment").glob("e*.*")),
        }
        for path in data_files(self.data):
            parts[path.relative_to(self.data).parts[0]].append(path)
        return parts

    @property
    def made(self) -> Path:
        """The file that says that the data of a profile of this project are there."""
        return self.data / MAKERS[self.profile][1]

    @property
    def experiment(self) -> str | None:
        """EXPERIMENT, where it is not the profile's own."""
        return self.settings.get("EXPERIMENT")

    @property
    def fetched_experiment(self) -> Path | None:
        """The file that says that the published reporter assay is there, where it is asked for."""
        folder = profile_paths("simulated", self.root)[1].parent / MPRA
        return folder / "downloads/checksums.json" if self.experiment == MPRA else None

    def present(self, notebook: str) -> bool:
        """Whether it has data to run on: a user's folder may hold genomes or enhancers only."""
        if notebook == START:
            return self.profile == "simulated"
        if self.profile in MAKERS or self.stands_alone(notebook):
            return True
        parts = {"genomes" if " LM " in notebook else "enhancers"} | (
            {"genomes"} if USES.get(notebook) in ("GENOME", "VARIANTS") else set()
        )
        if notebook == MEASURED and not self.experiment:
            parts |= {"experiment"}
        return all(self._sequences[part] for part in parts)

    def stands_alone(self, notebook: str) -> bool:
        """Whether it is given all it reads."""
        return self._classifier(notebook) and self.of_the_user(notebook)

    def of_the_user(self, notebook: str) -> bool:
        """Whether it scores a user's file: then it runs whenever asked, as results may lie anywhere."""
        return bool(USES.get(notebook) and self.given.get(USES[notebook]))

    def _classifier(self, notebook: str) -> bool:
        return notebook in USES and bool(self.settings.get("CLASSIFIER"))

    def _check_files(self, notebook: str) -> None:
        known = defaults(self.root)[notebook]
        for name in FILES:
            if (
                name in known
                and self.given.get(name)
                and not project_path(self.given[name], self.root).is_file()
            ):
                raise ValueError(f"{name}: {project_path(self.given[name], self.root)} is not there")
        if (
            self._classifier(notebook)
            and not (
                config := find_model(self.settings["CLASSIFIER"], self.root).folder / "config.json"
            ).is_file()
        ):
            raise ValueError(f"CLASSIFIER: {config} is not there")
        if notebook in CLASSIFIERS and (encoder := self.settings.get("ENCODER")):
            if not self._configs(notebook, self.settings, "ENCODER") and self.settings.get(
                "PRETRAINED", True
            ):
                raise ValueError(
                    f"ENCODER: {encoder} is neither the folder of a language model, nor one of models/ or of "
                    f"the hub, nor a profile that has one for {notebook}"
                )

    def _check_species(self) -> None:
        """Names that the profile's folder does not have, where it is known already what it has."""
        there = sorted({path.parent.name for path in self._sequences["enhancers"]})
        asked = [*(self.given.get("SPECIES") or []), *(set(self.given.get("OVERRIDES", {})) - {ALL})]
        unknown = [name for name in asked if name not in there]
        if unknown and there and (self.profile not in MAKERS or self.made.is_file()):
            raise ValueError(
                f"PARAMS: no species {', '.join(unknown)} in {self.data / 'enhancers'} "
                f"(there: {', '.join(there)})"
            )

    def _check_values(self, notebook: str, variation: str) -> None:
        """ValueError for what the notebook would refuse, now rather than after hours."""
        try:
            check_parameters({**defaults(self.root)[notebook], **self.values(notebook, variation)})
        except ValueError as error:
            raise ValueError(f"PARAMS: {error} ({run_name(notebook, variation)})") from None

    def source(self, notebook: str) -> Path:
        return self.root / NOTEBOOKS[notebook]

    def executed(self, notebook: str, variation: str = "") -> Path:
        """Where the executed copy goes."""
        path = self.artifacts / "notebooks" / NOTEBOOKS[notebook]
        return path.with_stem(run_name(notebook, variation))


def _pinned(name: str, value: object) -> object:
    """A model of the hub with its commit, so that all runs of a command take the same; others as they are."""
    if name not in MODELS or not is_hub_name(value):
        return value
    try:
        return find_model(value).source
    except OSError as error:
        raise ValueError(f"{name}: {error}") from error


def run_name(notebook: str, variation: str = "") -> str:
    return f"{notebook} ({variation})" if variation else notebook


def _plain(value: object) -> str:
    """Equal values as equal texts, in whatever order a dictionary has them."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _state(path: Path) -> list[int] | None:
    return [path.stat().st_size, path.stat().st_mtime_ns] if path.is_file() else None


def _weights(config: Path) -> str | None:
    """The checksum of a model's weights, from its description; None without one."""
    try:
        return json.loads(config.read_text(encoding="utf-8")).get("weights_sha256")
    except (OSError, ValueError, AttributeError):
        return None


def relative(path: Path) -> str:
    """As Snakemake is to know a file: from the folder in which it runs, so that the project may be moved."""
    return os.path.relpath(path)
