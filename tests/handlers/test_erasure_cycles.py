from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from monai_unlearn.engines import CaseComparison, erase_parameters
from monai_unlearn.handlers import EpochHistory, ErasureCycles, read_history
from monai_unlearn.losses import SupervisedTerm
from monai_unlearn.metrics import case_score
from tests.engines.example import Depth, cases, plain_network, trainer_of

START, TARGET = 0.9, 0.7


class Memory(Engine):
    """A trainer in the small: its network holds one number, the forget score, and a step of erasing takes some away.

    Settling gives ``comes_back`` of what the erasing of this cycle took.
    """

    def __init__(self, *, per_step: float, comes_back: float = 0.0) -> None:
        super().__init__(self.step)
        self.network = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.network.weight, START)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.5)
        self.retention, self.settle, self.settling = {"supervised": None}, ("supervised",), False
        self.per_step, self.comes_back, self.taken = per_step, comes_back, 0.0
        self.halves: list[str] = []
        self.rates: list[float] = []

    def step(self, engine: Engine, batch: object) -> dict[str, torch.Tensor]:
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        self.halves.append("settle" if self.settling else "erase")
        with torch.no_grad():
            if self.settling:
                self.network.weight += self.comes_back * self.taken
                self.taken = 0.0
            else:
                self.network.weight -= self.per_step
                self.taken += self.per_step
        return {"loss": torch.zeros(())}

    @property
    def score(self) -> float:
        return float(self.network.weight.detach())


def compare(engine: Any) -> dict[str, torch.Tensor]:
    scores, target = torch.full((4,), engine.score), torch.full((4,), TARGET)
    return {"losses": 1 - scores, "scores": scores, "other_losses": 1 - target, "other_scores": target}


def run(engine: Memory, *others: Any, epochs: int = 30, **arguments: Any) -> str:
    """Run with epochs of four steps; return the halves as letters."""
    for handler in (ErasureCycles(**{"compare": compare, "settle_epochs": 0.5, **arguments}), *others):
        handler.attach(engine)
    engine.run([0] * 4, max_epochs=epochs)
    return "".join(half[0] for half in engine.halves)


def test_cycles_erase_and_settle_in_turn_until_the_target_is_met(caplog):
    caplog.set_level(logging.INFO)
    engine = Memory(per_step=0.025)
    assert run(engine) == "eeeess" * 2  # 0.9 - 8 x 0.025 = 0.7
    assert engine.score == pytest.approx(TARGET, abs=1e-6)
    assert "the target is met after 2 cycles" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_what_comes_back_while_settling_is_erased_again():
    engine = Memory(per_step=0.05, comes_back=0.5)
    assert run(engine) == "eeeess" * 2  # each cycle keeps 0.1
    assert engine.score == pytest.approx(TARGET, abs=1e-6)


def test_the_last_cycle_is_as_long_as_the_one_before_predicts():
    engine = Memory(per_step=0.04)  # 0.74 after four steps: one step would do, but never less than half is tried
    assert run(engine) == "eeeess" + "eess" + "ess", "and then one is tried from 0.74"
    assert engine.score == pytest.approx(TARGET, abs=1e-6)


def test_an_overshoot_is_undone_and_tried_again_with_fewer_steps():
    engine = Memory(per_step=0.1)  # 0.5 after four steps; half the way is right
    assert run(engine) == "eeeess" + "eess"
    assert engine.score == pytest.approx(TARGET, abs=1e-6)


def test_too_few_cycles_are_said_loudly_and_leave_the_best_state(caplog):
    engine = Memory(per_step=0.001)
    run(engine, max_cycles=2)
    assert "THE TARGET WAS NOT MET after 2 cycles" in caplog.text
    assert engine.score == pytest.approx(START - 0.012, abs=1e-6)


def test_over_forgetting_that_one_step_brings_is_said_loudly(caplog):
    engine = Memory(per_step=0.25)
    assert run(engine, erase_epochs=0.25) == "ess"
    assert "OVER-FORGETTING after 1 cycles" in caplog.text
    assert engine.score == pytest.approx(0.65, abs=1e-6)


def test_epochs_that_end_in_a_half_leave_the_last_settled_state():
    engine = Memory(per_step=0.01)
    assert run(engine, epochs=2) == "eeeess" + "ee"
    assert engine.score == pytest.approx(START - 0.04, abs=1e-6)
    assert not engine.settling


def test_the_learning_rate_falls_while_settling_and_is_whole_while_erasing():
    engine = Memory(per_step=0.025)
    run(engine, settle_start=0.8, settle_end=0.1)
    assert engine.rates[:6] == pytest.approx([0.5] * 4 + [0.5 * 0.8, 0.5 * (0.1 + 0.7 * 0.5)])
    assert engine.rates[6:10] == [0.5] * 4


def test_momentum_does_not_outlive_a_half():
    engine = Memory(per_step=0.025)
    engine.optimizer.state[engine.network.weight]["momentum_buffer"] = torch.ones(1)
    seen = []
    engine.add_event_handler(Events.ITERATION_STARTED, lambda engine: seen.append(len(engine.optimizer.state)))
    run(engine)
    assert seen[0] == 0


def test_the_epoch_in_which_a_settling_ends_has_its_figures(tmp_path):
    run(Memory(per_step=0.025), EpochHistory(path=tmp_path / "m.csv", phase="erase"))
    rows = {(row["epoch"], row["name"]): row["value"] for row in read_history(tmp_path / "m.csv")}
    assert [epoch for epoch, name in rows if name == "settled_forget_loss"] == [2, 3]
    assert rows[2, "settled_forget_score"] == pytest.approx(0.8)
    assert rows[3, "settled_forget_loss"] == pytest.approx(rows[3, "settled_target_loss"]) == pytest.approx(0.3)
    assert (rows[2, "cycle"], rows[3, "cycle"], rows[3, "erase_steps"]) == (1, 2, 4)


def test_forget_cases_that_do_worse_than_their_target_already_are_refused():
    engine = Memory(per_step=0.1)
    nn.init.constant_(engine.network.weight, 0.5)
    with pytest.raises(ValueError, match="do worse than their target"):
        run(engine)


def test_epochs_that_hold_no_cycle_are_refused():
    with pytest.raises(
        ValueError, match="one cycle takes 6 steps and the erase phase has 4; give it at least 2 epochs"
    ):
        run(Memory(per_step=0.1), epochs=1)


def test_a_trainer_without_what_settles_is_refused():
    engine = Memory(per_step=0.1)
    engine.retention = {}
    with pytest.raises(ValueError, match="settling needs the retention term 'supervised'"):
        run(engine)


@pytest.mark.parametrize(
    "wrong", [{"erase_epochs": 0}, {"settle_epochs": 0}, {"tolerance": 0}, {"max_cycles": 0}, {"settle_end": 1.5}]
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ErasureCycles(compare=compare, **wrong)


def unlearn(**arguments: Any) -> tuple[nn.Module, list[tuple[bool, int]]]:
    """Two cycles of the real trainer; return the student and what every step saw: settling, forget cases."""
    torch.manual_seed(0)
    student = plain_network().requires_grad_(True)
    items = cases(8, forget=2)[::-1]
    score = {"task": "segmentation", "activation": "sigmoid"}
    comparison = CaseComparison(
        forget=[item for item in items if item["forget"]],
        reference=[item for item in items if not item["forget"]],
        loss_function=nn.BCEWithLogitsLoss(),
        score=lambda logits, label: case_score(logits, label, **score) - 1 + 2 * logits.flatten(1).mean(1).sigmoid(),
    )
    seen: list[tuple[bool, int]] = []
    trainer = trainer_of(
        student,
        [items[index] for index in (0, 7, 1, 6, 2, 7, 3, 6)],
        retention={"supervised": SupervisedTerm(loss_function=nn.BCEWithLogitsLoss()), "other": Depth(weight=0.1)},
        erasure={"depth": Depth()},
        optimizer=torch.optim.SGD(erase_parameters(student), lr=0.01),
        max_epochs=6,
        train_handlers=[
            ErasureCycles(compare=comparison, erase_epochs=1, settle_epochs=1, max_cycles=2, tolerance=1e-6)
        ],
        **arguments,
    )

    @trainer.on(Events.ITERATION_COMPLETED)
    def note(engine: Any) -> None:
        seen.append((len(engine.state.batch["id"]) == 2, int(sum(engine.state.batch["forget"]))))

    trainer.run()
    return student, seen


def test_the_trainer_settles_without_the_forget_cases_and_is_the_same_every_time(recwarn):
    (student, seen), (again, _) = unlearn(moving_statistics=True), unlearn(moving_statistics=True)
    assert seen[:4] == [(False, 2), (False, 2), (True, 0), (True, 0)]
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in student.state_dict().items())


@pytest.mark.parametrize("moving", [False, True])
def test_statistics_move_if_they_are_to(moving):
    student, _ = unlearn(moving_statistics=moving)
    kept = torch.equal(student.state_dict()["1.running_mean"], plain_network().state_dict()["1.running_mean"])
    assert kept is not moving
