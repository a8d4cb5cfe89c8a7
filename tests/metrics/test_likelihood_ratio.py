from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.metrics import roc_auc_score

from monai_unlearn.metrics import gaussian_log_density, leave_out_log_ratios, student_log_density

EVERY = np.ones((6, 3), dtype=bool)


def some_scores() -> np.ndarray:
    return np.random.default_rng(0).normal([0.0, 2.0, -1.0], [1.0, 0.3, 2.0], (6, 3))


def test_the_gaussian_is_that_of_each_case():
    samples, score = some_scores(), np.array([0.5, 1.0, 0.0])
    expected = [
        stats.norm(samples[:, case].mean(), samples[:, case].std(ddof=1)).logpdf(score[case]) for case in range(3)
    ]
    assert gaussian_log_density(score, samples, EVERY) == pytest.approx(expected)


def test_the_pooled_gaussian_has_one_spread_and_each_case_its_mean():
    samples, score = some_scores(), np.array([0.5, 1.0, 0.0])
    spread = np.sqrt(np.mean([samples[:, case].var(ddof=1) for case in range(3)]))
    expected = stats.norm(samples.mean(axis=0), spread).logpdf(score)
    assert gaussian_log_density(score, samples, EVERY, pooled=True) == pytest.approx(expected)


def test_student_predictive_is_the_integral_over_mean_and_variance():
    """The closed form against numerical integration of likelihood and prior; the prior is flat in the mean."""
    samples, strength = some_scores(), 4.0
    common = np.mean([samples[:, case].var(ddof=1) for case in range(3)])
    prior = stats.invgamma(strength / 2, scale=strength / 2 * common)

    def evidence(values: np.ndarray) -> float:
        grid_mean, grid_log = np.linspace(-12, 12, 481), np.linspace(-5, 5, 201)
        variance = np.exp(grid_log)[:, None]
        likelihood = -((values[:, None, None] - grid_mean) ** 2 / variance + np.log(2 * np.pi * variance)).sum(0) / 2
        # a normal prior of the mean with the variance sigma²/kappa gives sigma^-1 as kappa goes to 0
        joint = np.exp(likelihood) * prior.pdf(variance) * variance / np.sqrt(variance)
        return float(integrate.trapezoid(integrate.trapezoid(joint, grid_mean), grid_log))

    sample = samples[:, 2]
    for score in (0.0, 3.0):
        expected = np.log(evidence(np.append(sample, score)) / evidence(sample))
        found = student_log_density(np.full(3, score), samples, EVERY, strength=strength)[2]
        assert found == pytest.approx(expected, abs=2e-3)


def test_the_prior_draws_the_variance_of_a_case_to_that_of_the_others():
    """Two samples that happen to agree must not make a case look certain."""
    samples = np.array([[0.0, 1.0], [1e-6, -1.0]])
    mask = np.ones((2, 2), dtype=bool)
    score = np.array([0.5, 0.5])
    assert gaussian_log_density(score, samples, mask)[0] < -1e6
    assert student_log_density(score, samples, mask)[0] > -3


def test_with_many_samples_the_student_predictive_is_the_gaussian():
    samples = np.random.default_rng(0).normal(1, 2, (4000, 1))
    mask, score = np.ones((4000, 1), dtype=bool), np.array([0.3])
    assert student_log_density(score, samples, mask) == pytest.approx(stats.norm(1, 2).logpdf(0.3), abs=0.03)


def test_a_strength_of_nothing_is_refused():
    with pytest.raises(ValueError, match="strength is 0"):
        student_log_density(np.zeros(1), np.zeros((2, 1)), np.ones((2, 1), dtype=bool), strength=0)


def test_every_model_is_attacked_by_the_others_alone():
    """Against a plain loop over models and cases."""
    generator = np.random.default_rng(1)
    scores, member = generator.normal(size=(8, 5)), generator.random((8, 5)) < 0.5
    member[:4, :], member[4:, :] = (
        generator.permuted(np.tile([True, True, False, False], (5, 1)), axis=1).T,
        ~member[:4, :],
    )
    member[4:, :] = ~member[:4, :]
    groups = [0, 1, 2, 3, 0, 1, 2, 3]
    found = leave_out_log_ratios(scores, member, groups, kind="u_lira")
    for model in range(8):
        others = [row for row in range(8) if groups[row] != groups[model]]
        for case in range(5):
            inside = [scores[row, case] for row in others if member[row, case]]
            outside = [scores[row, case] for row in others if not member[row, case]]
            expected = stats.norm(np.mean(inside), np.std(inside, ddof=1)).logpdf(scores[model, case]) - stats.norm(
                np.mean(outside), np.std(outside, ddof=1)
            ).logpdf(scores[model, case])
            assert found[model, case] == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["bavaria", "u_lira", "u_lira_pooled"])
def test_members_that_score_higher_are_told_and_equal_ones_are_not(kind):
    generator = np.random.default_rng(2)
    member = np.repeat([[True], [False]], [8, 8], axis=0) & np.ones((16, 60), dtype=bool)
    difficulty = generator.normal(0, 5, 60)  # cases differ far more than members from others
    for shift, lowest, highest in ((1.5, 0.75, 1.0), (0.0, 0.35, 0.58)):
        scores = difficulty + generator.normal(size=(16, 60)) + shift * member
        ratios = leave_out_log_ratios(scores, member, [*range(8), *range(8)], kind=kind)
        assert lowest < roc_auc_score(member.ravel(), ratios.ravel()) < highest


def test_with_few_models_the_prior_beats_a_variance_of_each_case():
    generator = np.random.default_rng(3)
    member = np.repeat([[True], [False]], [4, 4], axis=0) & np.ones((8, 400), dtype=bool)
    scores = generator.normal(size=(8, 400)) + 1.5 * member
    auc = {
        kind: roc_auc_score(member.ravel(), leave_out_log_ratios(scores, member, [0, 1, 2, 3] * 2, kind=kind).ravel())
        for kind in ("bavaria", "u_lira")
    }
    assert auc["bavaria"] > auc["u_lira"] + 0.02


def test_where_a_side_is_missing_there_is_no_ratio():
    member = np.array([[True], [True], [False]])
    ratios = leave_out_log_ratios(np.array([[1.0], [2.0], [3.0]]), member, [0, 1, 2])
    assert np.isfinite(ratios[:2]).all()
    assert np.isnan(ratios[2, 0])


def test_an_unknown_ratio_is_refused():
    with pytest.raises(ValueError, match="'lira' is none of bavaria"):
        leave_out_log_ratios(np.zeros((2, 1)), np.ones((2, 1), dtype=bool), [0, 1], kind="lira")
