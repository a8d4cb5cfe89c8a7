"""MONAI's own handlers and metrics work on the trainer as on any other of MONAI's."""

from __future__ import annotations

import logging

import pytest
import torch
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from monai.handlers import (
    CheckpointSaver,
    LrScheduleHandler,
    MeanDice,
    StatsHandler,
    TensorBoardStatsHandler,
    ValidationHandler,
    from_engine,
)
from monai.transforms import AsDiscreted
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_unlearn.engines import erase_parameters
from monai_unlearn.networks import MergedWeights, load_weights, merge_adapters
from tests.engines.example import adapted_student, cases, plain_network, trainer_of


def test_stats_handler_logs_every_term_after_each_epoch(caplog):
    with caplog.at_level(logging.INFO):
        handler = StatsHandler(name=None, iteration_log=False)
        trainer_of(adapted_student(), cases(4, forget=1), train_handlers=[handler]).run()
    (line,) = [record.getMessage() for record in caplog.records if "Metrics" in record.getMessage()]
    assert all(f"{name}: " in line for name in ("gap", "height", "depth", "loss"))


def test_stats_handler_logs_a_term_after_each_iteration(caplog):
    with caplog.at_level(logging.INFO):
        transform = from_engine(["gap"], first=True)
        handler = StatsHandler(name=None, epoch_log=False, tag_name="gap", output_transform=transform)
        trainer_of(adapted_student(), cases(4, forget=0), train_handlers=[handler], decollate=True).run()
    assert sum("gap: " in record.getMessage() for record in caplog.records) == 1


def test_tensorboard_handler_writes_the_terms(tmp_path):
    handler = TensorBoardStatsHandler(
        log_dir=str(tmp_path), tag_name="depth_of_step", output_transform=from_engine(["depth"], first=True)
    )
    items = cases(8, forget=8)
    trainer = trainer_of(adapted_student(), items, max_epochs=2, train_handlers=[handler], decollate=True)
    trainer.run()
    handler.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert {name: len(events.Scalars(name)) for name in ("depth_of_step", "depth", "loss")} == {
        "depth_of_step": 4,  # two batches, two epochs
        "depth": 2,
        "loss": 2,
    }
    assert events.Scalars("loss")[-1].value == pytest.approx(trainer.state.metrics["loss"], rel=1e-6)


def test_checkpoint_saver_with_merged_weights_writes_a_plain_checkpoint(tmp_path):
    student = adapted_student()
    saver = CheckpointSaver(
        str(tmp_path), {"model": MergedWeights(student)}, save_final=True, final_filename="model.pt"
    )
    trainer_of(student, cases(4, forget=1), train_handlers=[saver]).run()
    plain, image = load_weights(plain_network(seed=9), tmp_path / "model.pt").eval(), torch.randn(2, 1, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(plain(image), merge_adapters(student).eval()(image))
        torch.testing.assert_close(plain(image), student.eval()(image))


def test_lr_schedule_handler_steps_the_optimizer():
    student = adapted_student()
    optimizer = torch.optim.SGD(erase_parameters(student), lr=0.1)
    handler = LrScheduleHandler(torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1), print_lr=False)
    trainer_of(student, cases(4, forget=1), optimizer=optimizer, max_epochs=2, train_handlers=[handler]).run()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.001)


@pytest.mark.filterwarnings("error")
def test_key_metric_and_validation_work_as_on_any_trainer():
    items = cases(4, forget=1)
    student = adapted_student()
    discrete = AsDiscreted(keys="pred", threshold=0.0)
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(items, batch_size=2),
        network=student,
        postprocessing=discrete,
        key_val_metric={"val_dice": MeanDice(output_transform=from_engine(["pred", "label"]))},
    )
    trainer = trainer_of(
        student,
        items,
        decollate=True,
        postprocessing=discrete,
        key_train_metric={"train_dice": MeanDice(output_transform=from_engine(["pred", "label"]))},
        train_handlers=[ValidationHandler(1, evaluator)],
    )
    trainer.run()
    assert set(trainer.state.metrics) == {"gap", "height", "depth", "loss", "train_dice"}
    assert trainer.state.best_metric == trainer.state.metrics["train_dice"]
    with torch.no_grad():
        predicted = merge_adapters(student).eval()(torch.stack([item["image"] for item in items])) > 0
    truth = torch.stack([item["label"] for item in items]).bool()
    overlap, sizes = (predicted & truth).flatten(1).sum(1), (predicted.flatten(1).sum(1) + truth.flatten(1).sum(1))
    assert evaluator.state.metrics["val_dice"] == pytest.approx((2 * overlap / sizes).mean().item(), rel=1e-5)
