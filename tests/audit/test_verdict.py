"""The verdict on figures that are drawn: each word where it belongs, and no word for what is chance."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from torch import nn

from monai_unlearn.audit import OUTCOMES, AuditCases, CaseScores, ClassScores, Margins, judge
from monai_unlearn.metrics import tost
from tests.audit.planted import audit_config, drawn_cases

CONFIG = audit_config()
LEVELS = {
    "teacher": {"forget": 0.91, "retain": 0.93, "reference": 0.82, "unseen": 0.82},
    "oracle": {"forget": 0.83, "retain": 0.93, "reference": 0.82, "unseen": 0.82},
}


def iou_cases(count: int = 60, *, seed: int = 0, spread: float = 0.03, with_oracle: bool = True, **student: float):
    """Cases whose IoU lies around a level; what is easy for one model is easy for all. The loss is 1 - IoU."""
    generator = np.random.default_rng(seed)
    ease = {name: generator.normal(0, 0.05, count) for name in LEVELS["teacher"]}
    levels = {**LEVELS, "student": {**LEVELS["oracle"], **student}}
    if not with_oracle:
        del levels["oracle"]
    figures: dict[str, Any] = {}
    for model, of_model in levels.items():
        figures[model] = {}
        for subset, level in of_model.items():
            iou = np.clip(level + ease[subset] + generator.normal(0, spread, count), 0, 1)
            figures[model][subset] = {"iou": iou, "loss": 1 - iou}
    return drawn_cases(figures)


def verdict(cases: AuditCases, *, recovery: float | None = None, of_oracle: float | None = None, **changes: Any):
    tests: dict[str, Any] = {}
    if recovery is not None:
        tests = {
            "retain_relearning": {"figures": {"recovery": {"value": recovery, "oracle": of_oracle, "reason": None}}}
        }
    return judge(cases, audit_config(**changes), Margins(), tests)


def check(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in found["checks"] if name in one["name"])


@pytest.mark.parametrize(
    ("forget", "outcome"),
    [
        (0.91, "not forgotten"),
        (0.862, "partly forgotten"),
        (0.83, "forgotten"),
        (0.75, "over-forgotten"),
        (0.1, "over-forgotten"),
    ],
)
def test_each_place_between_teacher_and_nothing_has_its_word(forget, outcome):
    found = verdict(iou_cases(forget=forget), recovery=0.0)
    assert found["outcome"] == outcome
    assert found["against"] == "oracle"
    assert found["conclusive"] is True
    assert found["utility_kept"] is True
    assert found["passed"] is (outcome == "forgotten")
    assert outcome in OUTCOMES


def test_without_an_oracle_the_reference_cases_stand_in_and_the_verdict_says_so():
    found = verdict(iou_cases(forget=0.82, with_oracle=False))
    assert (found["outcome"], found["against"]) == ("forgotten", "reference cases")
    assert any("No oracle" in sentence for sentence in found["sentences"])
    assert verdict(iou_cases(forget=0.91, with_oracle=False))["outcome"] == "not forgotten"
    assert verdict(iou_cases(forget=0.5, with_oracle=False))["outcome"] == "over-forgotten"


def test_a_teacher_that_does_not_know_the_cases_leaves_nothing_to_forget():
    cases = iou_cases()
    same = dict.fromkeys(cases.scores, cases.scores["oracle"])
    found = verdict(drawn_like(cases, same), recovery=0.9)
    assert found["outcome"] == "nothing to forget"
    assert found["hidden"] is None, "a share of nothing says nothing"
    assert found["passed"] is False
    assert "nothing to forget" in found["sentences"][0]


def drawn_like(cases: AuditCases, scores: dict[str, CaseScores]) -> AuditCases:
    return AuditCases(**{**{name: getattr(cases, name) for name in cases.__dataclass_fields__}, "scores": scores})


def test_a_teacher_that_does_not_know_the_cases_does_not_excuse_a_student_that_fails_on_them():
    cases = iou_cases(forget=0.5)
    found = verdict(drawn_like(cases, {**cases.scores, "teacher": cases.scores["oracle"]}))
    assert found["outcome"] == "over-forgotten"


def loss_cases(student: float, *, teacher: float = 1.5, count: int = 60, seed: int = 0):
    """The measure sees nothing, losses do: by how much they are lower on forget than on unseen cases."""
    generator = np.random.default_rng(seed)
    ease = generator.normal(0, 1, (2, count))
    figures = {
        model: {
            "forget": {"iou": np.full(count, 0.8), "loss": ease[0] - shift + generator.normal(0, 0.2, count)},
            "retain": {"iou": np.full(count, 0.8), "loss": ease[0] - 1.5},
            "reference": {"iou": np.full(count, 0.8), "loss": ease[1]},
            "unseen": {"iou": np.full(count, 0.8), "loss": ease[1] + generator.normal(0, 0.2, count)},
        }
        for model, shift in {"teacher": teacher, "oracle": 0.0, "student": student}.items()
    }
    return drawn_cases(figures)


@pytest.mark.parametrize(
    ("shift", "outcome"),
    [(1.5, "not forgotten"), (0.4, "partly forgotten"), (0.0, "forgotten"), (-1.0, "over-forgotten")],
)
def test_what_the_measure_does_not_see_the_attack_on_the_losses_does(shift, outcome):
    found = verdict(loss_cases(shift))
    assert found["outcome"] == outcome
    attack = check(found, "AUC of the loss attack")
    assert attack["holds"] is (outcome == "forgotten")
    assert ("loss attack" in found["sentences"][0]) is (outcome != "forgotten")
    assert attack["interval"][0] <= attack["value"] <= attack["interval"][1]


def test_an_auc_that_is_off_by_chance_is_no_failure():
    """With a dozen cases the AUC moves by more than its margin; the interval says that this means nothing."""
    generator = np.random.default_rng(3)
    off = []
    for seed in range(20):
        cases = loss_cases(0.0, count=12, seed=seed)
        losses = {name: scores.figures["loss"] + generator.normal(0, 0.5, 48) for name, scores in cases.scores.items()}
        shaken = {
            name: CaseScores(ids=one.ids, figures={**one.figures, "loss": losses[name]}, per_class={})
            for name, one in cases.scores.items()
        }
        attack = check(verdict(drawn_like(cases, shaken)), "AUC of the loss attack")
        off.append((abs(attack["value"]) > 0.03, attack["holds"]))
    assert sum(far for far, _ in off) >= 8, "chance alone exceeds the margin here"
    assert sum(holds for _, holds in off) >= 18


@pytest.mark.parametrize("count", [20, 60])
def test_a_second_oracle_passes_in_nine_of_ten_resamplings(count):
    """Null calibration: student and oracle differ by chance alone, case by case."""
    spread = 0.02 if count == 20 else 0.05
    found = [verdict(iou_cases(count, seed=seed, spread=spread), recovery=0.0) for seed in range(20)]
    assert sum(one["outcome"] == "forgotten" for one in found) >= 18
    assert sum(one["passed"] for one in found) >= 18


def test_few_cases_are_not_enough_to_be_sure():
    found = verdict(iou_cases(5, spread=0.08, forget=0.84))
    assert found["outcome"] == "forgotten"
    assert found["conclusive"] is False
    assert any("too few cases" in sentence for sentence in found["sentences"])
    assert not any("AUC" in one["name"] for one in found["checks"]), "five cases have no AUC"


def test_a_gap_that_chance_explains_holds_in_the_checks_as_it_does_in_the_outcome():
    found = next(
        one
        for one in (verdict(iou_cases(5, seed=seed, spread=0.08)) for seed in range(20))
        if one["outcome"] == "forgotten" and abs(one["gap"]) > 0.02
    )
    assert check(found, "forget against the oracle")["holds"] is True
    assert check(verdict(iou_cases(forget=0.75)), "forget against the oracle")["holds"] is False


def test_one_case_alone_is_never_conclusive():
    found = verdict(iou_cases(1, forget=0.3))
    assert found["outcome"] == "over-forgotten"
    assert found["gap_interval"] is None
    assert found["conclusive"] is False


def test_conclusive_is_what_the_two_one_sided_tests_say():
    for seed in range(12):
        cases = iou_cases(15, seed=seed, spread=0.03)
        found = verdict(cases)
        if found["outcome"] != "forgotten":
            continue
        forget = cases.subsets["forget"]
        test = tost(cases.scores["student"].of(forget, "iou") - cases.scores["oracle"].of(forget, "iou"), margin=0.02)
        assert found["conclusive"] == test.equivalent


@pytest.mark.parametrize("subset", ["retain", "unseen"])
def test_a_network_that_got_worse_on_what_it_was_to_keep_does_not_pass(subset):
    found = verdict(iou_cases(**{subset: LEVELS["teacher"][subset] - 0.06}))
    assert check(found, "forget against")["holds"]
    assert found["utility_kept"] is False
    assert found["passed"] is False
    assert not check(found, f"{subset} against the")["holds"]
    assert "got worse" in found["sentences"][-1]


def test_a_fall_that_a_few_cases_explain_is_no_loss_of_utility_and_one_case_is_taken_as_it_is():
    cases = iou_cases(8, spread=0.0)
    student = cases.scores["teacher"]
    scores = {**cases.scores, "oracle": cases.scores["teacher"]}
    for change, kept in ((np.tile([-0.2, 0.14], 4), True), (np.tile([-0.04, -0.02], 4), False)):
        iou = student.figures["iou"].copy()
        iou[student.rows(cases.subsets["unseen"])] += change
        changed = CaseScores(ids=student.ids, figures={**student.figures, "iou": iou}, per_class={})
        found = verdict(drawn_like(cases, {**scores, "student": changed}))
        assert check(found, "unseen against")["value"] == pytest.approx(-0.03, abs=1e-9)
        assert found["utility_kept"] is kept
    assert verdict(iou_cases(1, unseen=0.7))["utility_kept"] is False


def test_nobody_asks_more_than_the_oracle_can():
    """Without the forget cases a network is worse on unseen ones; the oracle itself must pass."""
    cases = iou_cases()
    worse = iou_cases(unseen=0.76)
    scores = {"teacher": cases.scores["teacher"], "oracle": worse.scores["student"], "student": worse.scores["student"]}
    found = verdict(drawn_like(cases, scores), recovery=0.0)
    assert check(found, "unseen against the oracle")["value"] == 0
    assert found["passed"] is True


@pytest.mark.parametrize(
    ("recovery", "of_oracle", "hidden"),
    [(0.6, None, True), (0.1, None, False), (0.6, 0.0, True), (0.25, 0.22, False), (-0.4, 0.0, False)],
)
def test_hidden_is_what_comes_back_and_does_not_come_back_to_the_oracle(recovery, of_oracle, hidden):
    found = verdict(iou_cases(), recovery=recovery, of_oracle=of_oracle)
    assert found["hidden"] is hidden
    assert found["passed"] is not hidden
    assert check(found, "recovery")["holds"] is not hidden
    assert any(("hidden, not erased" in one) is hidden for one in found["sentences"] if "training on" in one.lower())


def test_the_permanent_grade_is_held_to_its_own_bound_from_both_sides():
    assert not check(verdict(iou_cases(), recovery=0.15, grade="permanent"), "recovery")["holds"]
    assert not check(verdict(iou_cases(), recovery=-0.15, grade="permanent"), "recovery")["holds"]
    assert check(verdict(iou_cases(), recovery=0.05, grade="permanent"), "recovery")["holds"]


@pytest.mark.parametrize(("recovery", "passed"), [(0.15, False), (-0.15, False), (0.05, True)])
def test_what_comes_back_within_the_bound_for_hiding_may_still_be_too_much_for_the_permanent_grade(recovery, passed):
    permanent = verdict(iou_cases(), recovery=recovery, grade="permanent")
    assert permanent["hidden"] is False
    assert permanent["passed"] is passed
    assert verdict(iou_cases(), recovery=recovery, grade="reversible")["passed"] is True


def test_untried_relearning_and_relearning_without_a_figure_are_told_apart():
    untried = verdict(iou_cases())
    assert "was not tested" in untried["sentences"][-1]
    assert (untried["hidden"], untried["passed"]) == (None, False), "what was not looked for is not shown to be absent"
    none = {"retain_relearning": {"figures": {"recovery": {"value": None, "reason": "the student lost nothing"}}}}
    found = judge(iou_cases(), CONFIG, Margins(), none)
    assert (found["hidden"], found["passed"]) == (None, False)
    assert "cannot be said: the student lost nothing" in found["sentences"][-1]


def class_cases(forget: float, *, others: float = 0.9, oracle: bool = False) -> AuditCases:
    generator = np.random.default_rng(0)
    cases = iou_cases(20, with_oracle=oracle)
    scores = {}
    for name, one in cases.scores.items():
        of_class = {"teacher": 0.9, "oracle": 0.02, "student": forget}[name]
        other = others if name == "student" else 0.9
        levels = np.stack([np.full(80, other), np.full(80, of_class)], axis=1) + generator.normal(0, 0.01, (80, 2))
        levels = levels.clip(0, 1)
        scores[name] = CaseScores(
            ids=one.ids, figures={"iou": levels.mean(1), "loss": 1 - levels.mean(1)}, per_class={"iou": levels}
        )
    return drawn_like(cases, scores)


OF_CLASSES = {"activation": "softmax", "classes": (2,)}


@pytest.mark.parametrize(("forget", "outcome"), [(0.0, "forgotten"), (0.9, "not forgotten"), (0.3, "partly forgotten")])
def test_without_an_oracle_the_target_of_a_class_request_is_zero(forget, outcome):
    found = verdict(class_cases(forget), **OF_CLASSES)
    assert found["against"] == "0"
    assert found["outcome"] == outcome
    assert found["gap"] == pytest.approx(forget, abs=0.02)
    assert not any("weaker yardstick" in sentence for sentence in found["sentences"])


def test_a_request_of_two_classes_is_forgotten_where_cases_hold_one_of_them():
    """Measured on maps: the student has lost the classes 2 and 3, the teacher knows them; a case holds one of them."""
    ids = {name: tuple(f"{name}_{index}" for index in range(12)) for name in ("forget", "retain", "unseen")}
    generator = torch.Generator().manual_seed(0)
    items = []
    for subset, of_subset in ids.items():
        for index, case in enumerate(of_subset):
            label = torch.zeros(1, 6, 6)
            label[0, 0], label[0, 4] = 1.0, (2.0 + index % 2) * (subset == "forget")
            items.append(
                {"id": case, "image": label + 0.01 * torch.rand(label.shape, generator=generator), "label": label}
            )

    def scores(lost: tuple[float, ...]) -> CaseScores:
        class Painter(nn.Module):
            def forward(self, image: torch.Tensor) -> torch.Tensor:
                painted = image.floor()[:, 0].long()
                for value in lost:
                    painted[painted == value] = 0
                return 9.0 * nn.functional.one_hot(painted, 4).movedim(-1, 1)

        return config.score(Painter(), DataLoader(items, batch_size=4))

    config = audit_config(
        activation="softmax",
        classes=(2, 3),
        loss_function=lambda logits, label: nn.functional.cross_entropy(logits, label[:, 0].long()),
    )
    cases = AuditCases(
        dataset=[],
        ids=[item["id"] for item in items],
        subsets={**ids, "reference": ()},
        batch_size=4,
        training=[],
        training_ids=[],
        scores={"teacher": scores(()), "student": scores((2, 3))},
    )
    found = judge(cases, config, Margins(), {})
    assert (found["against"], found["gap"], found["outcome"]) == ("0", 0.0, "forgotten")
    assert found["utility_kept"] is True


def test_with_an_oracle_the_target_of_a_class_request_is_the_oracle():
    found = verdict(class_cases(0.0, oracle=True), **OF_CLASSES)
    assert (found["against"], found["outcome"]) == ("oracle", "forgotten")
    assert not any("AUC" in one["name"] for one in found["checks"]), "it is not asked who was seen"


def test_of_a_class_request_the_other_classes_are_to_be_kept():
    assert verdict(class_cases(0.0), **OF_CLASSES)["utility_kept"] is True
    assert verdict(class_cases(0.0, others=0.8), **OF_CLASSES)["utility_kept"] is False


def test_where_no_other_class_is_left_utility_is_not_made_up():
    found = verdict(class_cases(0.0), activation="softmax", classes=(1, 2))
    assert found["utility_kept"] is None
    assert found["passed"] is False
    assert "could not be measured" in found["sentences"][-1]


def test_of_a_classification_cases_of_other_classes_are_to_be_kept():
    ids = tuple(f"case_{index}" for index in range(40))
    truth = np.arange(40) % 2

    def scores(of_class: float, of_other: float) -> ClassScores:
        generator = np.random.default_rng(1)
        correct = (generator.random(40) < np.where(truth == 1, of_class, of_other)).astype(float)
        return ClassScores(
            ids=ids,
            figures={"correct": correct, "loss": 1 - correct},
            per_class={},
            truth=truth,
            probabilities=np.full((40, 2), 0.5),
        )

    def judged(student: ClassScores) -> dict[str, Any]:
        base = iou_cases(1)
        subsets = {"forget": ids[1:20:2], "retain": ids[:20:2], "reference": (), "unseen": ids[20:]}
        cases = drawn_like(base, {"teacher": scores(1, 1), "student": student})
        cases = AuditCases(**{**{n: getattr(cases, n) for n in cases.__dataclass_fields__}, "subsets": subsets})
        return verdict(cases, task="classification", activation="softmax", classes=(1,))

    found = judged(scores(0, 1))
    assert (found["outcome"], found["utility_kept"]) == ("forgotten", True)
    assert judged(scores(0, 0.5))["utility_kept"] is False


@pytest.mark.parametrize(("subset", "with_oracle"), [("forget", True), ("forget", False), ("reference", False)])
def test_cases_without_any_foreground_are_not_taken_for_well_forgotten_ones(subset, with_oracle):
    cases = iou_cases(with_oracle=with_oracle)
    empty = {}
    for name, one in cases.scores.items():
        foreground = np.array([0.0 if case.startswith(subset) else 9.0 for case in one.ids])
        empty[name] = CaseScores(ids=one.ids, figures=one.figures, per_class={}, signals={"foreground": foreground})
    found = verdict(drawn_like(cases, empty))
    assert found["outcome"] == "undecided"
    assert found["conclusive"] is False
    assert "have no foreground" in found["sentences"][0]


def test_unseen_cases_without_any_foreground_do_not_vouch_for_the_network():
    cases = iou_cases()
    empty = {
        name: CaseScores(
            ids=one.ids,
            figures=one.figures,
            per_class={},
            signals={"foreground": np.array([0.0 if case.startswith("unseen") else 9.0 for case in one.ids])},
        )
        for name, one in cases.scores.items()
    }
    names = [one["name"] for one in verdict(drawn_like(cases, empty))["checks"]]
    assert any(name.startswith("retain") for name in names)
    assert not any(name.startswith("unseen") for name in names)


def test_the_margins_are_written_beside_what_they_judged():
    margins = Margins(measure=0.06, auc=0.9)
    found = judge(iou_cases(forget=0.78), CONFIG, margins, {})
    assert found["outcome"] == "forgotten"
    assert found["margins"] == asdict(margins)
    assert check(found, "forget against")["bound"] == 0.06
