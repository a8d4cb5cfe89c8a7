from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from monai_unlearn.audit import LinearProbe
from monai_unlearn.audit.probe import fit_probe, probe_auc, stratified_folds
from tests.audit.memorising import cases_of, subjects, subset_ids, weights_of, without_oracle

RANDOM = np.random.default_rng(0)


def samples(count: int, channels: int, *, shift: float) -> tuple[np.ndarray, np.ndarray]:
    members = np.arange(count) < count // 2
    return RANDOM.normal(size=(count, channels)) * 5 + 2 + shift * members[:, None], members


@pytest.mark.parametrize("channels", [3, 200], ids=["few channels", "more channels than samples"])
@pytest.mark.parametrize("penalty", [0.5, 20.0])
def test_the_probe_is_the_logistic_regression_of_scikit_learn(channels, penalty):
    features, members = samples(40, channels, shift=2.0)
    scaler = StandardScaler().fit(features)
    reference = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=10000).fit(scaler.transform(features), members)
    fresh = RANDOM.normal(size=(15, channels)) * 5
    expected = reference.decision_function(scaler.transform(fresh))
    assert fit_probe(features, members, penalty=penalty).log_odds(fresh) == pytest.approx(expected, abs=2e-3)


def test_a_constant_channel_does_no_harm():
    features, members = samples(20, 3, shift=4.0)
    features[:, 1] = 0.1
    odds = fit_probe(features, members, penalty=1.0).log_odds(features)
    assert np.isfinite(odds).all()
    assert odds == pytest.approx(fit_probe(features[:, [0, 2]], members, penalty=1.0).log_odds(features[:, [0, 2]]))


def test_folds_have_both_sides_as_evenly_as_can_be():
    members = np.arange(33) < 13
    fold = stratified_folds(members, folds=5, seed=3)
    assert sorted(np.bincount(fold[members])) == [2, 2, 3, 3, 3]
    assert list(np.bincount(fold[~members])) == [4] * 5
    assert (fold == stratified_folds(members, folds=5, seed=3)).all()
    assert (fold != stratified_folds(members, folds=5, seed=4)).any()


def test_the_auc_is_the_mean_over_left_out_folds():
    features, members = samples(60, 4, shift=2.0)
    fold = stratified_folds(members, folds=5, seed=1)
    expected = []
    for left_out in range(5):
        seen, held = fold != left_out, fold == left_out
        scaler = StandardScaler().fit(features[seen])
        model = LogisticRegression(C=1.0, tol=1e-8).fit(scaler.transform(features[seen]), members[seen])
        expected.append(roc_auc_score(members[held], model.decision_function(scaler.transform(features[held]))))
    assert probe_auc(features, members, folds=5, penalty=1.0, seed=1) == pytest.approx(np.mean(expected), abs=1e-9)


def test_features_that_tell_nothing_have_an_auc_near_one_half_on_average():
    values = []
    for _ in range(40):
        features, members = samples(40, 60, shift=0.0)
        values.append(probe_auc(features, members, folds=5, penalty=1.0, seed=0))
    assert np.mean(values) == pytest.approx(0.5, abs=0.05)


def test_a_head_only_edit_that_fools_the_outputs_is_seen():
    models, cases, config = subjects("head_only")
    assert config.values(cases.scores["student"], cases.subsets["forget"]).mean() < 0.5
    found = LinearProbe()(models, cases, config)["auc"]
    assert found.value == found.teacher == 1.0
    assert found.series["student"] == found.series["teacher"] == [1.0, 1.0]
    assert found.oracle < 0.7
    assert found.details["stages"] == ["2", "4"]
    assert "AUC of 1.000 (oracle 0." in found.sentence


def test_the_oracle_as_student_has_the_oracles_figure():
    models, cases, config = subjects("oracle")
    found = LinearProbe()(models, cases, config)["auc"]
    assert found.value == found.oracle
    assert LinearProbe()(without_oracle(models), cases, config)["auc"].oracle is None


def test_fewer_than_ten_cases_give_no_auc_and_the_reason():
    models, cases, config = subjects()
    ids = {**subset_ids(), "forget": subset_ids()["forget"][:9]}
    found = LinearProbe()(models, cases_of(cases.dataset, models, config, ids), config)["auc"]
    assert found.value is None
    assert found.reason == "needs 10 forget and 10 unseen cases; one of them has 9"


def test_equally_many_cases_of_both_sides_are_taken_up_to_a_bound():
    models, cases, config = subjects()
    assert LinearProbe(most=12)(models, cases, config)["auc"].details["cases_on_each_side"] == 12
    ids = {**subset_ids(), "unseen": subset_ids()["unseen"][:15]}
    fewer = dataclasses.replace(cases, subsets=ids)
    assert LinearProbe()(models, fewer, config)["auc"].details["cases_on_each_side"] == 15


def test_it_is_reproducible_and_changes_no_network():
    models, cases, config = subjects()
    before = weights_of(models)
    assert LinearProbe()(models, cases, config) == LinearProbe()(models, cases, config)
    assert all((one == other).all() for one, other in zip(before, weights_of(models), strict=True))


@pytest.mark.parametrize("settings", [{"folds": 1}, {"penalty": 0.0}, {"most": 0}], ids=str)
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValueError, match="folds is 2 or more, penalty positive, most 1 or more"):
        LinearProbe(**settings)
