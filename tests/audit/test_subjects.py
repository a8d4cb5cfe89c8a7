from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_unlearn.audit import CaseScores, ClassScores, plain_copy
from tests.audit.planted import COUNTS, audit_config, items, oracle, planted_cases
from tests.engines.example import SIZE, adapted_student, plain_network

IOU = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]])
SEGMENTED = CaseScores(ids=("a", "b", "c"), figures={"iou": IOU.mean(1), "loss": np.zeros(3)}, per_class={"iou": IOU})
CLASSIFIED = ClassScores(
    ids=("a", "b", "c"),
    figures={"correct": np.array([1.0, 0.0, 1.0]), "loss": np.zeros(3)},
    per_class={},
    probabilities=np.eye(3),
    truth=np.array([0, 2, 2]),
)


def test_the_measure_is_the_mean_iou_or_whether_the_class_was_recognised():
    assert audit_config().measure == "IoU"
    assert audit_config().values(SEGMENTED, ["c", "a"]) == pytest.approx([0.8, 0.2])
    classifying = audit_config(task="classification", activation="softmax")
    assert classifying.measure == "accuracy"
    assert classifying.values(CLASSIFIED, ["b", "c"]).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("activation", "classes", "columns"),
    [("softmax", (1,), [0]), ("softmax", (2, 3), [1, 2]), ("sigmoid", (0,), [0]), ("sigmoid", (1, 2), [1, 2])],
)
def test_of_a_class_request_the_measure_is_that_of_its_classes(activation, classes, columns):
    """Softmax: class 0 is the background and has no column. Sigmoid: label 0 is the first column."""
    config = audit_config(activation=activation, classes=classes)
    assert config.values(SEGMENTED, ["b", "a"]) == pytest.approx(IOU[[1, 0]][:, columns].mean(1))
    rest = [column for column in range(3) if column not in columns]
    assert config.kept_values(SEGMENTED, ["b", "a"]) == pytest.approx(IOU[[1, 0]][:, rest].mean(1))


def test_what_is_kept_of_any_other_request_is_everything():
    assert audit_config().kept_values(SEGMENTED, ["a"]) == pytest.approx([0.2])


def test_where_every_class_goes_nothing_is_kept():
    assert len(audit_config(activation="softmax", classes=(1, 2, 3)).kept_values(SEGMENTED, ["a"])) == 0


def test_what_is_kept_of_a_classification_are_the_cases_of_other_classes():
    config = audit_config(task="classification", activation="softmax", classes=(2,))
    assert config.kept_values(CLASSIFIED, ["a", "b", "c"]).tolist() == [1]
    assert config.values(CLASSIFIED, ["b", "c"]).tolist() == [0, 1]


def test_cases_are_loaded_in_the_order_in_which_they_are_named():
    cases = planted_cases({"teacher": oracle()})
    wanted = ["unseen_3", "forget_0", "retain_9"]
    loaded = [case for batch in cases.loader(wanted) for case in batch["id"]]
    assert loaded == wanted


def test_training_cases_are_shuffled_alike_for_a_seed_and_afresh_in_every_pass():
    cases = planted_cases({"teacher": oracle()})
    retain = cases.subsets["retain"]

    def order(seed: int) -> list[list[str]]:
        loader = cases.training_loader(retain, batch_size=16, seed=seed)
        return [[case for batch in loader for case in batch["id"]] for _ in range(2)]

    assert order(0) == order(0)
    assert order(0)[0] != order(0)[1]
    assert order(0) != order(1)
    assert set(order(0)[0]) == set(retain)
    assert len(retain) == COUNTS["retain"] < len(items())


@pytest.mark.parametrize(("count", "size", "batches"), [(5, 2, 2), (4, 2, 2), (1, 2, 1), (3, 1, 3), (6, 4, 2)])
def test_no_training_batch_is_of_one_case_where_there_are_others(count, size, batches):
    cases = planted_cases({})
    assert len(cases.training_loader(cases.training_ids[:count], batch_size=size, seed=0)) == batches


def test_a_plain_copy_has_the_output_no_adapter_and_weights_that_learn():
    student = adapted_student(learned=0.5).eval()
    copied = plain_copy(student)
    image = torch.randn(2, 1, SIZE, SIZE)
    torch.testing.assert_close(copied.eval()(image), student(image), rtol=1e-5, atol=1e-6)
    assert all(parameter.requires_grad for parameter in copied.parameters())
    assert copied.state_dict().keys() == plain_network().state_dict().keys()


def test_training_a_plain_copy_leaves_the_network_as_it_is():
    network = plain_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    copied = plain_copy(network)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(1)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in network.parameters())
