"""A multi-layer perceptron in PyTorch, fed by the loader, so that no more than a buffer of cells is in memory."""

from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from titin.learn.estimators import ClassifierByShares, LoaderCells


class LoaderMLP(ClassifierByShares):
    """Two layers over highly variable genes of the training cells, trained by AdamW; classes weigh by 1 / √size.

    Parameters
    ----------
    n_genes, hidden, epochs, batch_size, learning_rate
        As usual.
    min_steps
        Of the optimiser: few cells are gone through more often.
    seed
        Of the weights, the dropout and the order of cells.
    threads
        Of the loader.
    """

    def __init__(
        self, n_genes: int = 2000, hidden: int = 128, epochs: int = 3, batch_size: int = 512,
        learning_rate: float = 1e-3, min_steps: int = 200, seed: int = 0, threads: int = 1,
    ) -> None:  # fmt: skip
        self.n_genes = n_genes
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.min_steps = min_steps
        self.seed = seed
        self.threads = threads

    def fit(self, X: LoaderCells, y: ArrayLike) -> Self:
        """Train on cells that a loader reads."""
        labels = np.asarray(y, object).astype(str)
        self.classes_, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        self.genes_ = X.genes(self.n_genes)
        code_of = pd.Series(codes, index=X.index())
        weights = torch.tensor((1 / np.sqrt(sizes)) / (1 / np.sqrt(sizes)).mean(), dtype=torch.float32)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.network_ = torch.nn.Sequential(
                torch.nn.LayerNorm(len(self.genes_)), torch.nn.Linear(len(self.genes_), self.hidden), torch.nn.ReLU(),
                torch.nn.Dropout(0.2), torch.nn.Linear(self.hidden, len(self.classes_)),
            )  # fmt: skip
            optimiser = torch.optim.AdamW(self.network_.parameters(), lr=self.learning_rate, weight_decay=1e-2)
            loader = X.loader(
                self.genes_, batch_size=self.batch_size, shuffle=True, seed=self.seed, threads=self.threads
            )
            for _ in range(max(self.epochs, -(-self.min_steps // len(loader)))):
                for values, obs in loader:
                    truth = torch.from_numpy(code_of.loc[obs.index].to_numpy(np.int64))
                    loss = torch.nn.functional.cross_entropy(self.network_(torch.tensor(values)), truth, weights)
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
        self.network_.eval()
        return self

    def predict_proba(self, X: LoaderCells) -> NDArray[np.float32]:
        """Return shares, cells × classes, in the order of ``X``."""
        loader: Any = X.loader(self.genes_, batch_size=2048, shuffle=False, seed=0, threads=self.threads)
        with torch.no_grad():
            parts = [torch.softmax(self.network_(torch.tensor(values)), dim=1).numpy() for values, _ in loader]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.classes_)), np.float32)
