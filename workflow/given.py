"""What a user types as PARAMS, read as values of the notebooks' parameters."""

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path

import yaml

__all__ = ["as_typed", "checked", "notebook_parameters", "parse_parameters"]

TAGS = ("parameters", "more-parameters")
# Parameters whose default is None, by what they may be beside it; any other is of its default's type.
_TEXT = {"SCALE", "CLASSIFIER", "ENCODER", "INPUT", "GENOME", "VARIANTS", "WRITE_TO", "REGION"}
_TEXT |= {"EXPERIMENT"}
_NAMES = {"MODELS", "SPECIES"}  # a list of names
_WHOLE = {"N_TRAIN", "BLOCK", "EPOCH_BASES"}
_OR_NONE = {"CLIP", "FEW", "PREVALENCE"}  # a number, or None, whatever their default is
MAY_BE_NONE = _TEXT | _NAMES | _WHOLE | _OR_NONE
_START = re.compile(r"\s*([A-Z][A-Z0-9_]*)\s*:\s*")
_NEXT = re.compile(r"\s*,(?=\s*[A-Z][A-Z0-9_]*\s*:)|\s*,?\s*$")
_NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WORDS = {"null": None, "none": None, "~": None, "": None, "true": True, "false": False}
_CLOSING = {"[": "]", "{": "}"}
QUOTE = "put a text that holds ', NAME:' in quotes"


def notebook_parameters(path: str | Path) -> dict:
    """Names and default values in the parameter cells of a notebook.

    Raises ValueError, naming the notebook, for a damaged one and for a default that is no plain value.
    """
    try:
        # Nbformat would check outputs of megabytes.
        cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a notebook, or damaged ({error.__class__.__name__})") from error
    known = {}
    for cell in cells:
        if cell["cell_type"] != "code" or not set(TAGS) & set(cell["metadata"].get("tags", [])):
            continue
        for line in ast.parse("".join(cell["source"])).body:
            if (
                isinstance(line, ast.Assign)
                and isinstance(target := line.targets[0], ast.Name)
                and target.id.isupper()
            ):
                try:
                    known[target.id] = ast.literal_eval(line.value)
                except ValueError as error:
                    raise ValueError(
                        f"{path}: {target.id} is no plain value in the cell of parameters"
                    ) from error
    return known


def parse_parameters(text: str) -> dict[str, object]:
    """`NAME: value, ...` -> names and what was typed: text unless quoted, a list or a dictionary.

    A text is taken as it stands, up to the next `, NAME:`; blanks around it go. Quotes, single or double,
    hold anything. `[...]` and `{...}` are YAML. `checked` turns text into what each parameter wants. Raises
    ValueError, saying where, for anything else.
    """
    values, place = {}, 0
    while text[place:].strip(" ,\n\t"):
        start = _START.match(text, place)
        if not start:
            raise ValueError(
                f"PARAMS: {text[place:].strip()!r} is not NAME: value; separate them by commas, and {QUOTE}"
            )
        if start[1] in values:
            raise ValueError(f"PARAMS: {start[1]} is there twice")
        values[start[1]], place = _value(start[1], text, start.end())
    return values


def _value(name: str, text: str, start: int) -> tuple[object, int]:
    """The value that begins at `start`, and where what follows it begins."""
    opening = text[start : start + 1]
    if opening and opening in "'\"":
        end = text.find(opening, start + 1)
        if end < 0:
            raise ValueError(f"PARAMS: {name}: the quote is not closed in {text[start:]!r}")
        return Quoted(text[start + 1 : end]), _end_of(name, text, end + 1)
    if opening in _CLOSING and name not in _TEXT | {"PROFILE"}:
        end = _closed(name, text, start)
        try:
            return _numbers(yaml.safe_load(text[start:end])), _end_of(name, text, end)
        except yaml.YAMLError as error:
            raise ValueError(
                f"PARAMS: {name}: {text[start:end]} is no list or dictionary ({error.__class__.__name__})"
            ) from error
    following = _NEXT.search(text, start)
    return text[start : following.start()].strip(), following.end()


class Quoted(str):
    """A text in quotes: no number, and no None."""


def _closed(name: str, text: str, start: int) -> int:
    """Where the bracket that opens at `start` has been closed; brackets in quotes do not count."""
    expected, quote = [], None
    for place in range(start, len(text)):
        letter = text[place]
        if quote:
            quote = None if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in _CLOSING:
            expected.append(_CLOSING[letter])
        elif expected and letter == expected[-1]:
            expected.pop()
            if not expected:
                return place + 1
    raise ValueError(f"PARAMS: {name}: {text[start:]!r} is not closed")


def _end_of(name: str, text: str, place: int) -> int:
    following = _NEXT.match(text, place)
    if not following:
        raise ValueError(
            f"PARAMS: {name}: {text[place:].strip()!r} follows its value; "
            "put a comma, or quotes around all of it"
        )
    return following.end()


def as_typed(value: object) -> str:
    """A value as `parse_parameters` reads it: plain words as they are, other text in quotes."""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    quote = "'" if '"' in value else '"'
    return value if re.fullmatch(r"[\w./~-]+", value) else f"{quote}{value}{quote}"


def checked(given: Mapping, known: Mapping) -> dict:
    """`given` as the parameters want it: `known` has their defaults, whose types count.

    Raises ValueError for a name that is not known, and for a value that is not of the parameter's type.
    """
    if unknown := sorted(map(str, set(given) - set(known))):
        raise ValueError(f"PARAMS: no notebook has a parameter {', '.join(unknown)}; {QUOTE}")
    return {name: _as_wanted(name, value, known[name]) for name, value in given.items()}


def _as_wanted(name: str, value: object, default: object) -> object:
    if name in _TEXT | _NAMES or isinstance(default, (str, list)):
        if isinstance(value, str) and not isinstance(value, Quoted) and value.lower() in ("null", "none", ""):
            value = None
        if name in _NAMES or isinstance(default, list):
            value = _as_list(name, value)
        elif value is not None and not isinstance(value, (list, dict)):
            value = str(value)
        elif value is None and isinstance(default, str):
            value = ""
        wanted = (list if name in _NAMES or isinstance(default, list) else str,) + (
            (type(None),) if default is None else ()
        )
    else:
        value = _numbers(value)
        if isinstance(value, float) and value.is_integer() and (type(default) is int or name in _WHOLE):
            value = int(value)
        if type(value) is int and isinstance(default, float):
            value = float(value)
        wanted = (int, type(None)) if name in _WHOLE else (object,) if default is None else (type(default),)
    may_be_none = default is None or name in _OR_NONE
    if wanted != (object,) and type(value) not in wanted and not (value is None and may_be_none):
        kinds = {
            int: "a whole number",
            float: "a number",
            bool: "true or false",
            list: "a list",
            dict: "a dictionary",
            str: "a text",
        }
        raise ValueError(f"PARAMS: {name}: {value!r} is not {kinds[wanted[0]]}")
    return value


def _as_list(name: str, value: object) -> list | None:
    """A list as it is, one value as a list of it, an unquoted text cut at its commas."""
    if value is None:
        return None
    if isinstance(value, str):
        value = [value] if isinstance(value, Quoted) else [part.strip() for part in value.split(",")]
    value = value if isinstance(value, list) else [value]
    return [str(part) for part in value] if name in _NAMES else _numbers(value)


def _numbers(value: object) -> object:
    """Texts as the numbers and words that they say, also in lists; YAML reads 1e-3 as a text."""
    if isinstance(value, dict):
        return {name: _numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, Quoted) or not isinstance(value, str):
        return str(value) if isinstance(value, Quoted) else value
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if not _NUMBER.fullmatch(value):
        return value
    return float(value) if re.search("[.eE]", value) else int(value)
