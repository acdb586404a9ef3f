"""Models on disk: weights as safetensors, everything needed to use them as JSON beside them, nothing pickled."""
import hashlib
import json
from pathlib import Path

from safetensors.torch import load_model as load_weights
from safetensors.torch import save_model as save_weights
from torch import nn

from awd_lstm import Classifier, LanguageModel
from composition import KmerLogOdds
from records import replacing
from utils import KmerTokenizer, new_classifier, new_language_model

__all__ = ["load_classifier", "load_language_model", "save_model"]


def save_model(folder: Path, model: LanguageModel | Classifier, /, **facts) -> None:
    """Write `model.safetensors` and `config.json` (architecture, checksum of the weights, `facts`) into `folder`.

    Both are complete before either takes its place; on any error, a full disk included, an older model stays as it was.
    """
    folder = Path(folder)
    with replacing(folder / "config.json") as config, replacing(folder / "model.safetensors") as weights:
        save_weights(model, weights)
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        content = dict(kind=type(model).__name__, architecture=model.architecture, weights_sha256=digest, **facts)
        config.write_text(json.dumps(content, indent=1) + "\n")


def load_language_model(folder: Path, tokenizer: KmerTokenizer, **expected) -> tuple[LanguageModel, dict]:
    """Read what `save_model` wrote -> (model in evaluation mode on the CPU, config).

    `expected`: what facts of the config must be (`direction="forward"`). Raises FileNotFoundError when nothing was saved
    there, ValueError for a model of another kind, k or stride, with other facts than expected, and for damaged files.
    """
    config, architecture = _read_config(folder, "LanguageModel", tokenizer)
    if other := {name: config.get(name) for name, value in expected.items() if config.get(name) != value}:
        wanted = {name: expected[name] for name in other}
        raise ValueError(f"{folder}: its model has {other}; wanted {wanted}. Set the parameters to match or name another model")
    return _with_weights(_rebuild(architecture, folder), folder, config)


def load_classifier(folder: Path, tokenizer: KmerTokenizer) -> tuple[Classifier, dict]:
    """As `load_language_model`, for a classifier."""
    config, architecture = _read_config(folder, "Classifier", tokenizer)
    ks = architecture.get("composition")
    model = new_classifier(_rebuild(architecture, folder).encoder, KmerLogOdds(ks) if ks else None)
    return _with_weights(model, folder, config)


def _rebuild(architecture: dict, folder: Path) -> LanguageModel:
    sizes = {name: value for name, value in architecture.items() if name not in ("k", "stride", "composition")}
    try:
        return new_language_model(KmerTokenizer(architecture["k"], architecture["stride"]), **sizes)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{Path(folder) / 'config.json'}: damaged architecture ({error}); train or fetch the model again") from error


def _read_config(folder: Path, kind: str, tokenizer: KmerTokenizer) -> tuple[dict, dict]:
    path = Path(folder) / "config.json"
    if not path.exists():
        raise FileNotFoundError(f"no model in {folder}; the notebooks in `Genomic Language Models/` make encoders, those in "
                                "`Enhancer Classification/` make classifiers, each for its own K, STRIDE and profile")
    try:
        config = json.loads(path.read_text())
        architecture = config["architecture"]
        found = config["kind"], architecture["k"], architecture["stride"]
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not the description of a model ({error}); train or fetch it again") from error
    wanted = kind, tokenizer.k, tokenizer.stride
    if found != wanted:
        raise ValueError(f"{folder}: holds a {found[0]} for k={found[1]}, stride={found[2]}; "
                         f"wanted a {kind} for k={tokenizer.k}, stride={tokenizer.stride}. Set K and STRIDE to match or train one")
    return config, architecture


def _with_weights(model: nn.Module, folder: Path, config: dict):
    path = Path(folder) / "model.safetensors"
    if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != config.get("weights_sha256"):
        raise ValueError(f"{path}: missing, damaged or not the weights that config.json describes; train or fetch the model again")
    try:
        load_weights(model, path)
    except RuntimeError as error:
        raise ValueError(f"{path}: does not fit the architecture in config.json; train or fetch the model again") from error
    return model.eval(), config
