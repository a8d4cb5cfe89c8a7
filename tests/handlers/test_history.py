from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from torch import nn

from monai_unlearn.handlers import EpochHistory, read_history
from tests.engines.example import adapted_student, cases, plain_network, trainer_of


def counting_engine(*handlers: EpochHistory, **metrics: object) -> Engine:
    """An engine whose loss is the number of its iteration, and whose metrics are set after each epoch."""
    engine = Engine(lambda engine, batch: {"loss": torch.tensor(float(engine.state.iteration))})

    @engine.on(Events.EPOCH_COMPLETED)
    def measure(engine):
        engine.state.metrics = dict(metrics)

    for handler in handlers:
        handler.attach(engine)
    return engine


def rows_of(path, phase: str) -> list[tuple[int, str, float]]:
    """Rows of a phase without the seconds, which no test can foresee."""
    rows = [row for row in read_history(path) if row["phase"] == phase and row["name"] != "seconds"]
    return [(row["epoch"], row["name"], row["value"]) for row in rows]


def test_every_scalar_of_every_epoch_is_a_row(tmp_path):
    path = tmp_path / "metrics.csv"
    trainer = trainer_of(
        adapted_student(), cases(4, forget=1), max_epochs=2, train_handlers=[EpochHistory(path=path, phase="erase")]
    )
    seen = []
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: seen.append(dict(engine.state.metrics)))
    trainer.run()
    expected = [(epoch, name, value) for epoch, metrics in enumerate(seen, 1) for name, value in metrics.items()]
    assert rows_of(path, "erase") == expected  # exact: what is written is what was measured
    assert {row["phase"] for row in read_history(path)} == {"erase"}


def test_the_seconds_of_every_epoch_are_written(tmp_path):
    path = tmp_path / "metrics.csv"
    counting_engine(EpochHistory(path=path, phase="erase")).run([0], max_epochs=2)
    seconds = [(row["epoch"], row["value"]) for row in read_history(path) if row["name"] == "seconds"]
    assert [epoch for epoch, _ in seconds] == [1, 2]
    assert all(value >= 0 for _, value in seconds)


def test_tensors_and_numpy_scalars_count_and_everything_else_does_not(tmp_path):
    path = tmp_path / "metrics.csv"
    metrics = {
        "tensor": torch.tensor(0.25),
        "numpy": np.float64(0.1),
        "vector": torch.ones(2),
        "array": np.ones(3),
        "nan": float("nan"),
        "infinite": np.inf,
        "text": "good",
        "nothing": None,
        "nested": {"a": 1.0},
        "loss": 0.5,
    }
    counting_engine(EpochHistory(path=path, phase="p"), **metrics).run([0])
    assert rows_of(path, "p") == [(1, "tensor", 0.25), (1, "numpy", 0.1), (1, "loss", 0.5)]


@pytest.mark.parametrize("decollate", [True, False])
def test_the_loss_of_a_trainer_without_metrics_is_written(tmp_path, decollate):
    path = tmp_path / "metrics.csv"
    network = plain_network().requires_grad_(True)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=DataLoader(cases(4, forget=0), batch_size=4),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=nn.BCEWithLogitsLoss(),
        train_handlers=[EpochHistory(path=path, phase="teach")],
        decollate=decollate,
    )
    losses = []
    trainer.add_event_handler(
        IterationEvents.LOSS_COMPLETED, lambda engine: losses.append(engine.state.output["loss"].item())
    )
    trainer.run()
    assert rows_of(path, "teach") == [(1, "loss", losses[-1])]


def test_phases_share_a_file_in_the_order_in_which_they_ran(tmp_path):
    path = tmp_path / "folder" / "metrics.csv"
    for phase, epochs in (("teach", 2), ("erase", 1)):
        counting_engine(EpochHistory(path=path, phase=phase)).run([0], max_epochs=epochs)
    assert [(row["phase"], row["epoch"]) for row in read_history(path) if row["name"] == "loss"] == [
        ("teach", 1),
        ("teach", 2),
        ("erase", 1),
    ]


def test_a_phase_that_runs_again_replaces_its_own_rows_alone(tmp_path):
    path = tmp_path / "metrics.csv"
    for phase, epochs in (("teach", 2), ("erase", 3), ("erase", 1)):
        counting_engine(EpochHistory(path=path, phase=phase), loss=float(epochs)).run([0], max_epochs=epochs)
    assert rows_of(path, "teach") == [(1, "loss", 2.0), (2, "loss", 2.0)]
    assert rows_of(path, "erase") == [(1, "loss", 1.0)]


def test_the_same_engine_run_again_starts_its_rows_afresh(tmp_path):
    path = tmp_path / "metrics.csv"
    engine = counting_engine(EpochHistory(path=path, phase="erase"))
    engine.run([0], max_epochs=2)
    engine.run([0], max_epochs=2)
    assert [epoch for epoch, _, _ in rows_of(path, "erase")] == [1, 2]


def test_a_resumed_run_keeps_the_epochs_before_and_replaces_those_after(tmp_path):
    path = tmp_path / "metrics.csv"
    counting_engine(EpochHistory(path=path, phase="erase"), loss=1.0).run([0], max_epochs=3)  # dies in its fourth
    resumed = counting_engine(EpochHistory(path=path, phase="erase"), loss=2.0)
    resumed.load_state_dict({"epoch": 2, "max_epochs": 4, "epoch_length": 1})
    resumed.run([0])
    assert rows_of(path, "erase") == [(1, "loss", 1.0), (2, "loss", 1.0), (3, "loss", 2.0), (4, "loss", 2.0)]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    engine = counting_engine(EpochHistory(path=tmp_path / "file" / "metrics.csv", phase="erase"))
    with pytest.raises(ValueError, match=r"cannot write .*metrics\.csv"):
        engine.run([0])
