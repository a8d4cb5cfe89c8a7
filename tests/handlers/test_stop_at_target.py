from __future__ import annotations

import logging

import pytest
import torch
from ignite.engine import Engine, Events

from monai_unlearn.handlers import EpochHistory, StopAtTarget, read_history


class Scripted:
    """A comparison whose forget cases lose a given part of their score from look to look, against fixed targets."""

    def __init__(self, drops: list[float], *, cases: int = 40, spread: float = 0.05) -> None:
        self.drops, self.looks = drops, 0
        generator = torch.Generator().manual_seed(0)
        self.target = 0.7 + spread * torch.randn(cases, generator=generator)
        self.forget = 0.7 + spread * torch.randn(cases, generator=generator)
        self.forget += self.target.mean() - self.forget.mean()

    def __call__(self, engine: Engine) -> dict[str, torch.Tensor]:
        scores = self.forget + self.drops[min(self.looks, len(self.drops) - 1)]
        self.looks += 1
        return {"losses": 1 - scores, "scores": scores, "other_losses": 1 - self.target, "other_scores": self.target}


def run(handler: StopAtTarget, *others: object, epochs: int = 6) -> int:
    engine = Engine(lambda engine, batch: {"loss": torch.zeros(())})
    for one in (handler, *others):
        one.attach(engine)
    engine.run([0, 0], max_epochs=epochs)
    return engine.state.epoch


def test_the_run_ends_when_the_forget_cases_are_no_longer_told_apart(caplog):
    caplog.set_level(logging.INFO)
    assert run(StopAtTarget(compare=Scripted([0.2, 0.1, 0.0]))) == 3
    assert "the target is met after epoch 3" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_small_difference_that_the_test_sees_is_not_the_target():
    looks = Scripted([0.015, 0.0], spread=0.001)
    assert run(StopAtTarget(compare=looks, margin=0.02)) == 2


def test_a_large_difference_that_the_test_cannot_see_is_not_the_target():
    looks = Scripted([0.05, 0.0], spread=1.0)
    assert run(StopAtTarget(compare=looks, margin=0.02)) == 2


def test_going_past_the_target_ends_the_run_with_a_loud_word(caplog):
    assert run(StopAtTarget(compare=Scripted([0.2, -0.3]))) == 2
    assert "OVER-FORGETTING" in caplog.text


def test_a_target_that_is_not_met_is_said_loudly(caplog):
    assert run(StopAtTarget(compare=Scripted([0.2])), epochs=3) == 3
    assert "THE TARGET WAS NOT MET in 3 epochs" in caplog.text


@pytest.mark.parametrize(("drop", "epochs"), [(0.01, 1), (0.04, 3)])
def test_with_few_cases_the_means_decide_alone(drop, epochs, caplog):
    caplog.set_level(logging.INFO)
    assert run(StopAtTarget(compare=Scripted([drop], cases=5, spread=0.001), margin=0.02), epochs=3) == epochs
    if epochs == 1:
        assert "5 cases on a side are too few for a test" in caplog.text


def test_it_looks_every_so_many_epochs():
    looks = Scripted([0.2])
    run(StopAtTarget(compare=looks, every=3), epochs=7)
    assert looks.looks == 2


def test_the_history_has_losses_and_scores_of_both_sides(tmp_path):
    looks = Scripted([0.2, 0.0])
    run(StopAtTarget(compare=looks), EpochHistory(path=tmp_path / "m.csv", phase="erase"))
    rows = {(row["epoch"], row["name"]): row["value"] for row in read_history(tmp_path / "m.csv")}
    assert rows[1, "forget_score"] == pytest.approx(float(looks.target.mean()) + 0.2)
    assert rows[2, "forget_loss"] == pytest.approx(rows[2, "target_loss"])
    assert rows[1, "target_p"] < 0.05 <= rows[2, "target_p"]


def test_a_second_run_starts_anew(caplog):
    handler = StopAtTarget(compare=Scripted([0.0, 0.2]))
    engine = Engine(lambda engine, batch: {"loss": torch.zeros(())})
    handler.attach(engine)
    stopped = []
    engine.add_event_handler(Events.COMPLETED, lambda engine: stopped.append(engine.state.epoch))
    engine.run([0], max_epochs=2)
    engine.run([0], max_epochs=3, epoch_length=1)
    assert "THE TARGET WAS NOT MET" in caplog.text


@pytest.mark.parametrize("wrong", [{"every": 0}, {"alpha": 0.0}, {"alpha": 1.0}, {"margin": -0.1}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StopAtTarget(compare=Scripted([0.0]), **wrong)
