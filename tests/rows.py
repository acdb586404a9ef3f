"""Result rows as a run would write them, for tests to change."""


def enhancer_row(**changes):
    row = {
        "profile": "pilot",
        "species": "Human",
        "model": "ulmfit",
        "trained_on": "",
        "trial": "",
        "k": 5,
        "stride": 2,
        "direction": "forward",
        "predicts": "bases",
        "contexts": "3 6 9",
        "scale": "laptop",
        "settings": "",
        "encoder": "pilot",
        "encoder_hash": "",
        "split": "folds",
        "fold": "oof",
        "seed": 0,
        "n_train": 5558,
        "n_test": 6948,
        "auroc": 0.8123456789,
        "auroc_low": 0.80,
        "auroc_high": 0.82,
        "average_precision": 0.8,
        "accuracy": 0.75,
        "precision": 0.7,
        "recall": 0.8,
        "specificity": 0.7,
        "mcc": 0.5,
        "brier": 0.2,
        "seconds": 12.5,
        "device": "cpu",
        "version": "1234567",
        "command": "make run, PROFILE=pilot",
    }
    return {**row, **changes}


def gc_row(**changes):
    blank = dict.fromkeys(
        ["k", "stride", "direction", "predicts", "contexts", "scale", "settings", "encoder", "encoder_hash"]
    )
    return enhancer_row(**{**blank, "model": "gc", **changes})


def language_model_row(**changes):
    row = {
        "profile": "pilot",
        "k": 5,
        "stride": 2,
        "direction": "forward",
        "predicts": "bases",
        "contexts": "3 6 9",
        "scale": "laptop",
        "settings": "",
        "corpus_hash": "",
        "seed": 0,
        "weights_hash": "",
        "bases_seen": 123456789,
        "tokens_seen": 61728394,
        "n_valid_tokens": 1000,
        "valid_loss": 2.5,
        "accuracy": 0.4,
        "perplexity": 12.2,
        "bits_per_base": 1.80337,
        "seconds": 900.0,
        "device": "cpu",
        "version": "abc",
        "command": "make run",
    }
    return {**row, **changes}
