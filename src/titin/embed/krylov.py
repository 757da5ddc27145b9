"""The leading eigenvectors of a large symmetric matrix that can only be multiplied with a few vectors at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

Floats = NDArray[np.float64]
Product = Callable[[NDArray[np.float32]], Floats]

MAX_PRODUCTS = 30
LEADING = 20  # eigenvectors that are to be exact one by one; of the others the eigenvalues count
_VALUE_TOLERANCE = 4e-4  # relative, of every eigenvalue: what further products are expected to add
_ANGLE_TOLERANCE = 5e-3  # between the leading subspace and the true one: a cosine of 0.99999
_NARROWEST_GAP = 5e-3  # of an eigenvalue: below, float32 products cannot tell its vector from the next
_NOISE = 1e-6  # of the largest eigenvalue: what float32 products leave
BASIS_BLOCKS = 12  # of the basis, before it is compressed
_ROUNDING = 1e-7  # of the longest vector: shorter ones are lost where lengths are squared
_CHUNK = 4096  # rows of the basis in float64 at a time


@dataclass(frozen=True)
class Eigenpairs:
    """Some leading eigenvalues and eigenvectors.

    Attributes
    ----------
    values
        float64, falling.
    vectors
        float64, size × number, orthonormal.
    n_products
        How often the matrix was multiplied with a block of vectors.
    converged
        Whether the tolerances were met, rather than the number of products exhausted.
    """

    values: Floats
    vectors: Floats
    n_products: int
    converged: bool


def leading_eigenpairs(
    product: Product,
    size: int,
    n: int,
    *,
    block: int,
    rng: np.random.Generator,
    max_products: int = MAX_PRODUCTS,
    advance: Callable[[int], None] = lambda _: None,
) -> Eigenpairs:
    """Find the ``n`` largest eigenvalues of a positive semidefinite matrix, and their vectors.

    A block Lanczos iteration from random vectors: the basis grows by what the last product adds to it, all of it is
    used for every approximation (Rayleigh-Ritz), and it is compressed to the best of it when it becomes large. It
    stops when neither eigenvalues nor leading vectors would change any more. ``p`` products find what ``p`` steps of
    subspace iteration find only where the eigenvalues are far apart.

    Parameters
    ----------
    product
        Multiplies the matrix with a few vectors (float32, C order) and returns float64.
    size, n
        Rows of the matrix; eigenpairs wanted, at most ``size``.
    block
        Vectors of a product, ``n`` or more.
    advance
        Told of every product.

    References
    ----------
    Musco and Musco, Randomized block Krylov methods, NeurIPS 2015; Golub and Underwood, The block Lanczos method, 1977.
    """
    basis = _Basis(size, min(size, block * BASIS_BLOCKS))
    Q = basis.extend(rng.standard_normal((size, min(block, size))), 0.0)
    history: list[Floats] = []
    converged = False
    for n_products in range(1, max_products + 1):
        residual = basis.learn(product(Q))
        advance(1)
        values, S = basis.ritz(max(n + 1, 2 * block))
        history = [*history[-2:], values[:n]]
        norms = np.linalg.norm(residual @ S[-residual.shape[1] :, :n], axis=0)
        converged = _settled(history, values, norms)
        if converged or n_products == max_products:
            break
        if basis.n + block > basis.room and basis.room < size:
            S = basis.compress(values, S, 2 * block)
        Q = basis.extend(residual, _NOISE * values[0])
        converged = Q.shape[1] == 0
        if converged:
            break
    return Eigenpairs(values[:n], basis.combine(S[:, :n]), n_products, converged)


class _Basis:
    """Orthonormal vectors, and what the matrix is between them.

    The vectors are kept as float32, as they were multiplied. What is learned of the matrix is added up in float64;
    float32 is enough for what is taken off new vectors, as that is done twice.
    """

    def __init__(self, size: int, room: int) -> None:
        self.size, self.room, self.n = size, room, 0
        self._new = slice(0, 0)
        self._vectors = np.empty((size, room), np.float32)
        self._between = np.zeros((room, room))

    def extend(self, vectors: Floats, floor: float) -> NDArray[np.float32]:
        """Add what the given vectors, orthogonal to the basis but for rounding, span outside it; returns it.

        Directions as small as ``floor`` are left out.
        """
        lengths, S = _principal(vectors)
        large = np.flatnonzero(lengths > max(floor, _ROUNDING * lengths[-1]))[::-1][: self.size - self.n]
        Q = (vectors @ (S[:, large] / lengths[large])).astype(np.float32)
        if len(large):
            Q -= self._vectors[:, : self.n] @ (self._vectors[:, : self.n].T @ Q)
            lengths, S = _principal(Q.astype(np.float64))
            Q = (Q @ (S / lengths)).astype(np.float32)
        self._new = slice(self.n, self.n + len(large))
        self._vectors[:, self._new] = Q
        self.n = self._new.stop
        return Q

    def learn(self, product: Floats) -> Floats:
        """Take in the product of the matrix with the vectors added last; returns the part of it outside the basis."""
        within = np.zeros((self.n, product.shape[1]))
        for rows in self._chunks():
            within += self._vectors[rows, : self.n].astype(np.float64).T @ product[rows]
        self._between[: self.n, self._new] = within
        self._between[self._new, : self.n] = within.T
        return product - self._vectors[:, : self.n] @ within.astype(np.float32)

    def ritz(self, n: int) -> tuple[Floats, Floats]:
        """The ``n`` largest approximate eigenvalues, falling and not negative, and what combines their vectors."""
        between = self._between[: self.n, : self.n]
        wanted = max(0, self.n - n), self.n - 1
        values, S = linalg.eigh((between + between.T) / 2, subset_by_index=wanted, driver="evr")
        return np.maximum(values[::-1], 0.0), S[:, ::-1]

    def compress(self, values: Floats, S: Floats, n: int) -> Floats:
        """Keep the vectors of the ``n`` largest approximate eigenvalues only; returns what now combines them."""
        self._vectors[:, :n] = self.combine(S[:, :n])
        self._between[:] = 0.0
        self._between[range(n), range(n)] = values[:n]
        self.n = n
        return np.eye(n)

    def combine(self, coefficients: Floats) -> Floats:
        """Return the vectors that have these coefficients in the basis."""
        found = np.empty((self.size, coefficients.shape[1]))
        for rows in self._chunks():
            found[rows] = self._vectors[rows, : self.n].astype(np.float64) @ coefficients
        return found

    def _chunks(self) -> list[slice]:
        return [slice(start, start + _CHUNK) for start in range(0, self.size, _CHUNK)]


def _principal(vectors: Floats) -> tuple[Floats, Floats]:
    """Lengths of the principal axes of the vectors, rising, and what combines the vectors to them."""
    squares, S = linalg.eigh(vectors.T @ vectors)
    return np.sqrt(np.maximum(squares, 0.0)), S


def _settled(history: list[Floats], values: Floats, residuals: Floats) -> bool:
    """Whether further products would change neither the eigenvalues nor the subspace of the leading vectors."""
    n = len(residuals)
    if len(history) < 3 or len(history[-3]) < n:
        return False
    smallest = max(values[0] * _NOISE * 10, np.finfo(float).tiny)
    before, now = (float(np.max(np.abs(b - a) / np.maximum(b, smallest))) for a, b in pairwise(history))
    ratio = min(now / before, 0.9) if before > 0 else 0.0
    if now * ratio / (1 - ratio) > _VALUE_TOLERANCE:
        return False
    leading = min(LEADING, n)
    following = values[leading] if leading < len(values) else 0.0
    gap = max(values[leading - 1] - following, _NARROWEST_GAP * values[leading - 1], smallest)
    return bool(np.linalg.norm(residuals[:leading]) <= _ANGLE_TOLERANCE * gap)
