from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from monai_unlearn.metrics import relative_membership


def probabilities(count: int, cases: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.2, 0.99, (count, cases))


@pytest.mark.parametrize(("gamma", "offline"), [(1.0, None), (1.2, 0.3)])
def test_it_is_the_share_of_the_population_that_the_case_beats(gamma, offline):
    attacked, reference = probabilities(1, 4)[0], probabilities(3, 4, 1)
    population, of_reference = probabilities(1, 7, 2)[0], probabilities(3, 7, 3)

    def expected(values: np.ndarray) -> float:
        mean = sum(values) / len(values)
        return mean if offline is None else 0.5 * ((1 + offline) * mean + (1 - offline))

    shares = []
    for case in range(4):
        ratio = attacked[case] / expected(reference[:, case])
        wins = [ratio / (population[z] / expected(of_reference[:, z])) >= gamma for z in range(7)]
        shares.append(sum(wins) / 7)
    found = relative_membership(attacked, reference, population, of_reference, gamma=gamma, offline=offline)
    assert found == pytest.approx(shares)


def test_a_network_that_is_better_on_everything_betrays_nobody():
    """What the plain confidence would take for membership, the population takes out."""
    generator = np.random.default_rng(0)
    difficulty = generator.normal(0, 0.5, 120)
    reference = expit(difficulty + generator.normal(0, 0.2, (8, 120)))
    member = np.arange(120) < 40
    for gain, lowest, highest in ((0.0, 0.35, 0.65), (1.0, 0.85, 1.0)):
        attacked = expit(difficulty + 0.5 + gain * member + generator.normal(0, 0.2, 120))
        z = np.arange(120) >= 80
        scores = relative_membership(attacked[~z], reference[:, ~z], attacked[z], reference[:, z])
        assert lowest < roc_auc_score(member[~z], scores) < highest


def test_without_a_population_or_with_impossible_values_it_says_so():
    one = np.array([0.5])
    with pytest.raises(ValueError, match="nobody trained on"):
        relative_membership(one, one[None], np.array([]), np.zeros((1, 0)))
    with pytest.raises(ValueError, match="reference has to hold probabilities"):
        relative_membership(one, -one[None], one, one[None])
