"""Models on disk: weights as safetensors, the rest as JSON beside them, nothing pickled."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from safetensors.torch import save_model as save_weights
from torch import Tensor, nn

from genomic_ulmfit.awd_lstm import Classifier, LanguageModel
from genomic_ulmfit.files import replacing
from genomic_ulmfit.kmer_start import KmerLogOdds
from genomic_ulmfit.learners import new_language_model
from genomic_ulmfit.processes import on_rank_zero
from genomic_ulmfit.profiles import encoder_folder, model_name, recipe_name
from utils import KmerTokenizer

__all__ = [
    "add_facts",
    "encoder_of",
    "load_classifier",
    "load_language_model",
    "newest_classifier",
    "save_model",
]

_ROWS, _SCALE = ".int8", ".scale"  # how the two parts of a compact table of embeddings are called


def save_model(folder: Path, model: LanguageModel | Classifier, /, compact: bool = False, **facts) -> None:
    """Write `model.safetensors` and `config.json` (architecture, weights' checksum, `facts`) to `folder`.

    `compact` keeps embeddings as int8 with one float32 scale a row, a quarter of the size: each value is then
    off by at most 1/254 of the largest of its row.

    Both are complete before either takes its place; on any error, a full disk included, an older model stays
    as it was. Where several processes train together the first one writes, and all go on when it is done.
    """
    on_rank_zero(_write_model, Path(folder), model, compact, facts)


def _write_model(folder: Path, model: LanguageModel | Classifier, compact: bool, facts: dict) -> None:
    with replacing(folder / "config.json") as config, replacing(folder / "model.safetensors") as weights:
        save_weights(model, str(weights))
        if compact:
            save_file(_packed(load_file(weights), _embeddings(model)), weights)
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        content = dict(
            kind=type(model).__name__, architecture=model.architecture, weights_sha256=digest, **facts
        )
        config.write_text(json.dumps(content, indent=1) + "\n")


def add_facts(folder: Path, **facts) -> None:
    """Add `facts` to the `config.json` that `save_model` wrote, or replace those there; weights stay.

    Raises FileNotFoundError and ValueError as `load_classifier` where there is no readable config.
    """
    on_rank_zero(_rewrite_config, Path(folder), facts)


def _rewrite_config(folder: Path, facts: dict) -> None:
    config = _read_config(folder, "Classifier", None)[0] | facts
    with replacing(folder / "config.json") as path:
        path.write_text(json.dumps(config, indent=1) + "\n")


def load_language_model(
    folder: Path, tokenizer: KmerTokenizer | None = None, **expected
) -> tuple[LanguageModel, dict]:
    """Read what `save_model` wrote -> (model in evaluation mode on the CPU, config).

    Without a tokenizer, of any k and stride (the config tells which).
    `expected`: what facts of the config must be (`direction="forward"`). Raises FileNotFoundError when
    nothing was saved there, ValueError for a model of another kind, k or stride, with other facts than
    expected, and for damaged files.
    """
    config, architecture = _read_config(folder, "LanguageModel", tokenizer)
    if other := {name: config.get(name) for name, value in expected.items() if config.get(name) != value}:
        wanted = {name: expected[name] for name in other}
        raise ValueError(
            f"{folder}: its model has {other}; wanted {wanted}. "
            "Set the parameters to match or name another model"
        )
    return _with_weights(_rebuild(architecture, folder), folder, config)


def load_classifier(folder: Path, tokenizer: KmerTokenizer | None = None) -> tuple[Classifier, dict]:
    """As `load_language_model`, for a classifier."""
    config, architecture = _read_config(folder, "Classifier", tokenizer)
    ks = architecture.get("composition")
    model = Classifier(_rebuild(architecture, folder).encoder, composition=KmerLogOdds(ks) if ks else None)
    return _with_weights(model, folder, config)


def newest_classifier(artifacts: Path, species: str | None = None) -> Path:
    """Folder of the plain ULMFiT classifier that the notebooks have last trained on a profile, for a species.

    A line says which that is. Trials with a name do not count. Without a species: Human if there is one, else
    the first. Raises FileNotFoundError when none was trained.
    """
    folder = Path(artifacts) / "classifiers"
    configs = {path: json.loads(path.read_text()) for path in folder.glob("*/*/config.json")}
    trained = {
        path: config["species"]
        for path, config in configs.items()
        if config.get("model") == recipe_name(True, True, []) and not config["trial"]
    }
    names = set(trained.values())
    species = species or ("Human" if "Human" in names else min(names, default="any species"))
    if species not in names:
        raise FileNotFoundError(
            f"no classifier of {species} in {folder}: run a notebook `Mammals Enhancers 1` to `3` "
            'on this profile, or name a model in CLASSIFIER, such as "models/human_4-mer_stride-2"'
        )
    newest = max(
        (path for path, of in trained.items() if of == species), key=lambda path: path.stat().st_mtime_ns
    ).parent
    print(f"classifier: {newest.relative_to(folder)}, the one trained last of {len(trained)}")
    return newest


def encoder_of(config: dict, profile: str) -> Path:
    """Folder of the profile's language model of the setting of a classifier, whose `config` this is.

    Raises FileNotFoundError as `profiles.encoder_folder` where the profile has none.
    """
    name = model_name(
        config["k"],
        config["stride"],
        config["direction"],
        config["predicts"],
        config["contexts"].split(),
        config["scale"],
        config["seed"],
    )
    return encoder_folder(None, profile, name)


def _rebuild(architecture: dict, folder: Path) -> LanguageModel:
    sizes = {
        name: value for name, value in architecture.items() if name not in ("k", "stride", "composition")
    }
    try:
        return new_language_model(KmerTokenizer(architecture["k"], architecture["stride"]), **sizes)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{Path(folder) / 'config.json'}: damaged architecture ({error}); train or fetch the model again"
        ) from error


def _embeddings(model: nn.Module) -> set[str]:
    return {
        f"{name}.weight"
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, nn.Embedding)
    }


def _packed(state: dict[str, Tensor], names: set[str]) -> dict[str, Tensor]:
    """The tensors of those names as int8 rows and their scales, the others as they are."""
    packed = {name: tensor for name, tensor in state.items() if name not in names}
    for name in names & set(state):
        scale = state[name].abs().amax(1, keepdim=True).clamp(min=1e-30) / 127
        packed |= {name + _ROWS: (state[name] / scale).round().to(torch.int8), name + _SCALE: scale}
    return packed


def _unpacked(state: dict[str, Tensor]) -> dict[str, Tensor]:
    rows = {name.removesuffix(_ROWS): tensor for name, tensor in state.items() if name.endswith(_ROWS)}
    plain = {name: tensor for name, tensor in state.items() if not name.endswith((_ROWS, _SCALE))}
    return plain | {name: tensor.float() * state[name + _SCALE] for name, tensor in rows.items()}


def _fill(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Copy `state` into the model.

    Tensors that share memory stand in a file once, so names are compared by what they point to.
    """
    own = model.state_dict()
    filled = {own[name].data_ptr() for name in state}
    if missing := [name for name, tensor in own.items() if tensor.data_ptr() not in filled]:
        raise KeyError(f"no {missing[0]}")
    for name, tensor in state.items():
        if own[name].shape != tensor.shape:
            raise ValueError(f"{name} has shape {list(tensor.shape)}, not {list(own[name].shape)}")
        own[name].copy_(tensor)


def _read_config(folder: Path, kind: str, tokenizer: KmerTokenizer | None) -> tuple[dict, dict]:
    path = Path(folder) / "config.json"
    if not path.exists():
        raise FileNotFoundError(
            f"no model in {folder}; the notebooks in `Genomic Language Models/` make encoders, those in "
            "`Enhancer Classification/` make classifiers, each for its own K, STRIDE and profile"
        )
    try:
        config = json.loads(path.read_text())
        architecture = config["architecture"]
        found = config["kind"], architecture["k"], architecture["stride"]
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: not the description of a model ({error}); train or fetch it again"
        ) from error
    wanted = kind, *((tokenizer.k, tokenizer.stride) if tokenizer else found[1:])
    if found != wanted:
        raise ValueError(
            f"{folder}: holds a {found[0]} for k={found[1]}, stride={found[2]}; "
            f"wanted a {kind} for k={wanted[1]}, stride={wanted[2]}. Set K and STRIDE to match or train one"
        )
    return config, architecture


def _with_weights(model: nn.Module, folder: Path, config: dict):
    path = Path(folder) / "model.safetensors"
    if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != config.get("weights_sha256"):
        raise ValueError(
            f"{path}: missing, damaged or not the weights that config.json describes; "
            "train or fetch the model again"
        )
    try:
        _fill(model, _unpacked(load_file(path)))
    except (KeyError, ValueError, SafetensorError) as error:
        raise ValueError(
            f"{path}: does not fit the architecture in config.json; train or fetch the model again"
        ) from error
    return model.eval(), config
