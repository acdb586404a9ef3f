"""A small classifier with a k-mer start, trained on nothing: what the tests of its uses score with."""

import torch
from naive import random_sequences

from genomic_ulmfit.awd_lstm import Classifier
from genomic_ulmfit.baselines import kmer_logistic
from genomic_ulmfit.familiarity import Familiarity
from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.kmer_start import KmerLogOdds
from genomic_ulmfit.learners import new_language_model
from genomic_ulmfit.scoring import Scorer
from utils import KmerTokenizer


def tiny_scorer(k=3, stride=1, direction="forward") -> Scorer:
    torch.manual_seed(0)
    tokenizer = KmerTokenizer(k, stride)
    sequences = random_sequences(20, 80, 0, gc=0.35) + random_sequences(20, 80, 1, gc=0.65)
    start = KmerLogOdds.from_pipeline(
        kmer_logistic([1, 2, 3, "11011"], 1.0).fit(sequences, [0] * 20 + [1] * 20)
    )
    encoder = new_language_model(
        tokenizer, embedding=8, hidden=12, layers=2, contexts=(k + 2 * stride,)
    ).encoder
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(3)  # large enough for single bases to matter
    model = Classifier(encoder, composition=start).eval()
    return Scorer(
        "tiny",
        model,
        tokenizer,
        {"direction": direction, "weights_sha256": "0" * 64, "architecture": model.architecture},
    )


def described(scorer: Scorer) -> Scorer:
    """A classifier that is recalibrated and knows sequences of 80 bases with a GC content of 35 or 65 %."""
    training, held_out = (
        [
            encode_bases(s)
            for gc in (0.35, 0.65)
            for s in random_sequences(100, 80, seed + int(100 * gc), gc=gc)
        ]
        for seed in (0, 1)
    )
    facts = {
        "familiarity": Familiarity.of(training, held_out, "invented sequences").to_config(),
        "recalibration": {"slope": 0.9, "intercept": 0.1, "prevalence": 0.5, "n": 40, "folds": "0"},
    }
    return Scorer(scorer.name, scorer.model, scorer.tokenizer, scorer.config | facts)
