from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler
from monai.transforms import RandGaussianNoised
from monai.utils import set_determinism
from torch import nn

from monai_unlearn.handlers import EpochCheckpoint

EPOCHS = 4


class PowerCutError(RuntimeError):
    """The machine stops."""


def trainer_of(folder: Path, *, handlers: tuple[Any, ...] = ()) -> tuple[SupervisedTrainer, EpochCheckpoint]:
    """Make a trainer in which everything is random that can be: dropout, order of the cases, and a transform."""
    set_determinism(0)
    network = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
    network[0].weight.requires_grad_(False)
    optimizer = torch.optim.AdamW([value for value in network.parameters() if value.requires_grad], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS)
    data = [{"image": torch.randn(3), "label": torch.randn(1)} for _ in range(8)]
    dataset = Dataset(data, RandGaussianNoised("image", prob=0.5))
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=EPOCHS,
        train_data_loader=DataLoader(dataset, batch_size=4, shuffle=True),
        network=network,
        optimizer=optimizer,
        loss_function=nn.MSELoss(),
        train_handlers=[LrScheduleHandler(schedule, print_lr=False), *handlers],
        decollate=False,
    )
    parts = {"network": network, "optimizer": optimizer, "schedule": schedule}
    return trainer, EpochCheckpoint(path=folder / "running.pt", parts=parts, seed=0, fingerprint="a", share=1e9)


def cut_at(event: Any) -> Any:
    class Cut:
        def attach(self, engine: Engine) -> None:
            engine.add_event_handler(event, self)

        def __call__(self, engine: Engine) -> None:
            raise PowerCutError

    return Cut()


def weights_of(trainer: SupervisedTrainer) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in trainer.network.state_dict().values()])


@pytest.fixture
def undisturbed(tmp_path: Path) -> torch.Tensor:
    trainer, checkpoint = trainer_of(tmp_path / "undisturbed")
    checkpoint.run(trainer)
    return weights_of(trainer)


@pytest.mark.parametrize("epoch", range(1, EPOCHS + 1))
def test_a_run_cut_in_any_epoch_ends_with_the_same_weights(
    tmp_path: Path, undisturbed: torch.Tensor, epoch: int
) -> None:
    trainer, checkpoint = trainer_of(tmp_path, handlers=(cut_at(Events.EPOCH_COMPLETED(once=epoch)),))
    with pytest.raises(PowerCutError):
        checkpoint.run(trainer)
    trainer, checkpoint = trainer_of(tmp_path)
    checkpoint.run(trainer)
    assert trainer.state.epoch == EPOCHS
    assert (checkpoint.seconds_before > 0) == (epoch > 1)  # cut before the first epoch was saved
    assert torch.equal(weights_of(trainer), undisturbed)


def test_a_run_cut_after_its_last_epoch_is_not_run_again(tmp_path: Path, undisturbed: torch.Tensor) -> None:
    trainer, checkpoint = trainer_of(tmp_path, handlers=(cut_at(Events.COMPLETED),))
    with pytest.raises(PowerCutError):
        checkpoint.run(trainer)
    seen: list[str] = []
    trainer, checkpoint = trainer_of(tmp_path)
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda: seen.append("epoch"))
    trainer.add_event_handler(Events.COMPLETED, lambda: seen.append("end"))
    checkpoint.run(trainer)
    assert seen == ["end"]
    assert torch.equal(weights_of(trainer), undisturbed)


def test_a_run_that_ended_itself_does_not_go_on(tmp_path: Path) -> None:
    class Enough:
        def attach(self, engine: Engine) -> None:
            engine.add_event_handler(Events.EPOCH_COMPLETED(once=2), engine.terminate)

    trainer, checkpoint = trainer_of(tmp_path, handlers=(Enough(),))
    checkpoint.run(trainer)
    ended = weights_of(trainer)
    trainer, checkpoint = trainer_of(tmp_path, handlers=(Enough(),))
    checkpoint.run(trainer)
    assert trainer.state.epoch == 2
    assert torch.equal(weights_of(trainer), ended)


def test_what_does_not_learn_is_not_saved(tmp_path: Path, undisturbed: torch.Tensor) -> None:
    saved = torch.load(tmp_path / "undisturbed/running.pt", weights_only=True)
    assert "0.weight" not in saved["parts"]["network"]
    assert {"0.bias", "1.running_mean", "3.weight"} <= saved["parts"]["network"].keys()


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("what", ["fingerprint", "resume"])
def test_what_answers_to_something_else_is_not_gone_on_from(tmp_path: Path, what: str) -> None:
    trainer, checkpoint = trainer_of(tmp_path / "undisturbed")
    if what == "fingerprint":
        checkpoint.fingerprint = "another"
    seen: list[int] = []
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda: seen.append(trainer.state.epoch))
    checkpoint.run(trainer, resume=what != "resume")
    assert seen == [1, 2, 3, 4]


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    trainer, checkpoint = trainer_of(tmp_path)
    checkpoint.path.write_bytes(b"half of a checkpoint")
    with pytest.raises(ValueError, match=r"running\.pt cannot be gone on from .*; remove it"):
        checkpoint.run(trainer)


def test_little_time_goes_into_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, checkpoint = trainer_of(tmp_path)
    clock = iter(range(1000))
    monkeypatch.setattr("monai_unlearn.handlers.epoch_checkpoint.time.perf_counter", lambda: next(clock))
    checkpoint.share, checkpoint._saved, checkpoint._cost = 0.05, 0.0, 100.0
    trainer.state.epoch = 1
    checkpoint.save(trainer)
    assert not checkpoint.path.exists()
    checkpoint._cost = 0.0
    checkpoint.save(trainer)
    assert checkpoint.path.exists()
