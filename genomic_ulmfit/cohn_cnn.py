"""The convolutional network of Cohn, Zuk & Kaplan (2018), trained here on the same sequences as ours.

"Enhancer identification using transfer and adversarial deep learning of DNA sequences" (bioRxiv 264200): the
published classifier of these enhancers.

One-hot bases 4 x 500; three convolutions of 20, 30 and 40 filters, 9, 5 and 3 bases wide, each with ReLU and
max-pooling by 3, 4 and 4; dense layers of 90 and 45; dropout 0.15; batches of 50. The authors trained 20
epochs, 50 times, and kept the best run.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from genomic_ulmfit.genome import WINDOW
from genomic_ulmfit.kmers import encode_sequences

__all__ = ["CohnCNN", "network"]


def network() -> nn.Sequential:
    """The untrained network: one-hot bases [batch, 4, WINDOW], float32 -> logit of being an enhancer [batch,
    1].
    """
    layers = []
    for channels, filters, width, pool in ((4, 20, 9, 3), (20, 30, 5, 4), (30, 40, 3, 4)):
        layers += [nn.Conv1d(channels, filters, width), nn.ReLU(), nn.MaxPool1d(pool), nn.Dropout(0.15)]
    for inputs, outputs in ((40 * 9, 90), (90, 45)):  # after the third pooling 9 positions are left
        layers += [nn.Flatten(), nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(0.15)]
    return nn.Sequential(*layers, nn.Linear(45, 1))


class CohnCNN:
    """The network with scikit-learn's interface; `fit` takes a validation set too, which decides when to
    stop.

    Adam runs until the validation ROC-AUC has not risen for `patience` epochs, or for `max_epochs`; the
    weights of the best epoch are kept. Two options are not the original's: `augment` shows each training
    sequence on a strand chosen at random in each epoch, `both_strands` predicts the mean probability of the
    two. Sequences longer than WINDOW are cut to their middle, shorter ones padded on both sides. Padding and
    letters other than A, C, G, T are four zeros. Uses a GPU where there is one; on a CPU the same `seed` and
    number of threads give the same numbers bit for bit.

    After `fit`: `history_` (validation AUC of each epoch) and `network_`.
    """

    def __init__(
        self,
        augment: bool = False,
        both_strands: bool = False,
        max_epochs: int = 100,
        patience: int = 30,
        batch_size: int = 50,
        learning_rate: float = 3e-3,
        seed: int = 0,
    ):
        self.augment, self.both_strands = augment, both_strands
        self.max_epochs, self.patience, self.batch_size = max_epochs, patience, batch_size
        self.learning_rate, self.seed = learning_rate, seed

    def fit(
        self,
        train_sequences: Sequence[str],
        train_labels: Sequence[int],
        valid_sequences: Sequence[str],
        valid_labels: Sequence[int],
    ) -> "CohnCNN":
        """Train from scratch; returns self.

        Labels are 0 and 1. Raises ValueError where either set lacks one of the two, where labels and
        sequences differ in number, and for anything but texts.
        """
        codes, labels = _codes(train_sequences), _checked(train_labels, train_sequences, "training")
        wanted = _checked(valid_labels, valid_sequences, "validation")
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        codes, targets = codes.to(device), torch.tensor(labels, dtype=torch.float32, device=device)
        self.history_, best = [], {}
        with torch.random.fork_rng():  # dropout draws from the global generator: leave it as it was
            torch.manual_seed(self.seed)
            self.network_ = network().to(device)
            optimizer = torch.optim.Adam(self.network_.parameters(), lr=self.learning_rate)
            for epoch in range(self.max_epochs):
                self._train_epoch(codes, targets, optimizer)
                self.history_.append(float(roc_auc_score(wanted, self.predict_proba(valid_sequences)[:, 1])))
                if self.history_[-1] > max(self.history_[:-1], default=-1):
                    best = {name: weights.clone() for name, weights in self.network_.state_dict().items()}
                if epoch - int(np.argmax(self.history_)) >= self.patience:
                    break
        self.network_.load_state_dict(best)
        return self

    def _train_epoch(self, codes: Tensor, targets: Tensor, optimizer: torch.optim.Optimizer) -> None:
        self.network_.train()
        for rows in torch.randperm(len(codes)).to(codes.device).split(self.batch_size):
            bases = _one_hot(codes[rows])
            if self.augment:
                other = (torch.rand(len(rows)) < 0.5).to(codes.device)
                bases = torch.where(other[:, None, None], _reverse_complement(bases), bases)
            loss = F.binary_cross_entropy_with_logits(self.network_(bases)[:, 0], targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    @torch.inference_mode()
    def predict_proba(self, sequences: Sequence[str]) -> np.ndarray:
        """Probabilities of label 0 and 1, float64, shape (len(sequences), 2).

        Raises RuntimeError before `fit`.
        """
        if not hasattr(self, "network_"):
            raise RuntimeError("this network is not trained: call fit first")
        self.network_.eval()
        device = next(self.network_.parameters()).device
        probabilities = [np.zeros(0)]
        for codes in _codes(sequences).split(512):
            bases = _one_hot(codes.to(device))
            strands = [bases, _reverse_complement(bases)] if self.both_strands else [bases]
            p = torch.stack([self.network_(strand)[:, 0].sigmoid() for strand in strands]).mean(dim=0)
            probabilities.append(p.double().cpu().numpy())
        of_one = np.concatenate(probabilities)
        return np.stack([1 - of_one, of_one], axis=1)


def _codes(sequences: Sequence[str]) -> Tensor:
    """Base codes of the middle WINDOW bases, uint8 [sequences, WINDOW]; 4 beyond the ends."""
    rows = np.full((len(sequences), WINDOW), 4, dtype=np.uint8)
    for row, codes in zip(rows, encode_sequences(sequences), strict=True):
        cut, pad = max(len(codes) - WINDOW, 0) // 2, max(WINDOW - len(codes), 0) // 2
        row[pad : pad + len(codes)] = codes[cut : cut + WINDOW]
    return torch.from_numpy(rows)


def _one_hot(codes: Tensor) -> Tensor:
    """Codes [batch, length] -> float32 [batch, 4, length]; a code above 3 has four zeros."""
    return F.one_hot(codes.long(), 5)[..., :4].transpose(1, 2).float()


def _reverse_complement(bases: Tensor) -> Tensor:
    """The other strand of one-hot bases [batch, 4, length]: with A0 C1 G2 T3 both axes turn around."""
    return bases.flip(1, 2)


def _checked(labels: Sequence[int], sequences: Sequence[str], which: str) -> np.ndarray:
    found = np.asarray(labels)
    if len(found) != len(sequences) or set(found.tolist()) != {0, 1}:
        raise ValueError(
            f"the {which} set has {len(sequences)} sequences and {len(found)} labels: there must be one "
            "label, 0 or 1, for each, and both among them"
        )
    return found
