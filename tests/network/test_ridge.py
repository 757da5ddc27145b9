"""Ridge weights are those of the normal equations, and donors' weights are one step from them."""

import numpy as np
import pytest

from titin.network.ridge import choose_penalty, correlate, fit_ridge

PLACE = np.array([3, 0, 7, 11, 5])
STARTS = np.array([0, 10, 25])


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 20))
    x[:, 14] += 0.8 * x[:, 3] - 0.5 * x[:, 11]
    x[:, 0] += 0.6 * x[:, 5]
    for begin, end in ((0, 10), (10, 25), (25, 40)):
        x[begin:end] -= x[begin:end].mean(axis=0)
    return (x / np.sqrt((x**2).mean(axis=0))).astype(np.float32)


def plain(values: np.ndarray, gene: int, penalty: float) -> np.ndarray:
    """Weights of all regulators but the gene itself, by the normal equations."""
    kept = gene != PLACE
    x, found = values[:, PLACE[kept]].astype(float), np.zeros(len(PLACE))
    found[kept] = np.linalg.solve(x.T @ x + penalty * np.eye(kept.sum()), x.T @ values[:, gene].astype(float))
    return found


@pytest.mark.parametrize("penalty", [0.5, 20.0])
def test_weights_solve_the_normal_equations_of_every_gene(values: np.ndarray, penalty: float) -> None:
    found = fit_ridge(values, PLACE, penalty).weights
    for gene in range(values.shape[1]):
        np.testing.assert_allclose(found[:, gene], plain(values, gene, penalty), atol=2e-5)


def test_a_regulator_has_no_weight_on_itself(values: np.ndarray) -> None:
    for fit in (fit_ridge(values, PLACE, 1.0), correlate(values, PLACE)):
        assert (fit.weights[np.arange(5), PLACE] == 0).all()


def test_correlation_is_that_of_numpy(values: np.ndarray) -> None:
    expected = np.corrcoef(values.T)[PLACE]
    expected[np.arange(5), PLACE] = 0
    np.testing.assert_allclose(correlate(values, PLACE).weights, expected, atol=1e-5)


@pytest.mark.parametrize("gene", [14, 0, 5])  # 0 and 5 are regulators
def test_a_donors_own_weight_is_one_newton_step_from_the_common_one(values: np.ndarray, gene: int) -> None:
    penalty, kept = 2.0, gene != PLACE
    x = values[:, PLACE[kept]].astype(float)
    curvature = x.T @ x + penalty * np.eye(kept.sum())
    weights = plain(values, gene, penalty)
    left = values[:, gene] - x @ weights[kept]
    fit = fit_ridge(values, PLACE, penalty)
    regulators = np.flatnonzero(kept)
    found = fit.of_donors(regulators, np.full(len(regulators), gene), STARTS)
    for donor, (begin, end) in enumerate(((0, 10), (10, 25), (25, 40))):
        step = np.linalg.solve(curvature, x[begin:end].T @ left[begin:end]) * 40 / (end - begin)
        np.testing.assert_allclose(found[:, donor], weights[kept] + step, atol=2e-4)


def test_donors_correlations_average_to_the_common_one(values: np.ndarray) -> None:
    fit = correlate(values, PLACE)
    found = fit.of_donors(np.array([0, 2]), np.array([14, 14]), STARTS)
    np.testing.assert_allclose(found @ [10 / 40, 15 / 40, 15 / 40], fit.weights[[0, 2], 14], atol=1e-5)


def test_the_penalty_grows_where_regulators_tell_nothing() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(60, 30)).astype(np.float32)
    told, starts = noise.copy(), np.array([0, 20, 40])
    told[:, 10:] = noise[:, :10] @ rng.normal(size=(10, 20)).astype(np.float32) + 0.1 * noise[:, 10:]
    assert choose_penalty(noise, np.arange(10), starts) > 10 * choose_penalty(told, np.arange(10), starts)


def test_the_penalty_is_that_of_donors_left_out(values: np.ndarray) -> None:
    def missed(penalty: float) -> float:
        error = 0.0
        for begin, end in ((0, 10), (10, 25), (25, 40)):
            kept = np.r_[0:begin, end:40]
            targets = np.delete(values, PLACE, axis=1).astype(float)
            x, y = values[np.ix_(kept, PLACE)].astype(float), targets[kept]
            weights = np.linalg.solve(x.T @ x + penalty * np.eye(len(PLACE)), x.T @ y)
            error += ((targets[begin:end] - values[np.ix_(range(begin, end), PLACE)] @ weights) ** 2).sum()
        return error

    best = choose_penalty(values, PLACE, STARTS)
    assert missed(best) < min(missed(best * 10**0.5), missed(best / 10**0.5))
