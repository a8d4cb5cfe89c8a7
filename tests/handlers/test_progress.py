from __future__ import annotations

import logging

import pytest
import torch
from ignite.engine import Engine, Events
from monai.handlers import StatsHandler

from monai_unlearn.handlers import PhaseProgress, progress
from tests.engines.example import adapted_student, cases, trainer_of


@pytest.fixture
def bars(monkeypatch):
    """Every bar that is opened."""
    opened = []

    class Kept(progress.tqdm):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.closed = False
            opened.append(self)

        def close(self):
            self.closed = True
            super().close()

    monkeypatch.setattr(progress, "tqdm", Kept)
    return opened


class Terminal:
    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal
        self.text = ""

    def isatty(self):
        return self.terminal

    def write(self, text):
        self.text += text

    def flush(self):
        pass


@pytest.mark.parametrize("terminal", [True, False])
def test_there_is_a_bar_only_in_a_terminal(monkeypatch, terminal):
    screen = Terminal(terminal)
    monkeypatch.setattr("sys.stderr", screen)
    trainer_of(adapted_student(), cases(4, forget=1), train_handlers=[PhaseProgress(description="erase")]).run()
    assert ("erase" in screen.text) is terminal


def test_one_bar_counts_all_steps_of_all_epochs(capsys, bars):
    items = cases(8, forget=4)
    handler = PhaseProgress(description="erase", disable=False)
    trainer = trainer_of(adapted_student(), items, max_epochs=3, train_handlers=[handler])
    trainer.run()
    (bar,) = bars
    assert (bar.desc.rstrip(": "), bar.total, bar.n, bar.closed) == ("erase", 6, 6, True)
    assert bar.postfix.startswith("epoch 3/3, loss ")
    assert "6/6" in capsys.readouterr().err


@pytest.mark.parametrize("decollate", [True, False])
def test_the_bar_shows_the_loss_of_the_last_step(bars, decollate):
    handler = PhaseProgress(description="erase", disable=False)
    trainer = trainer_of(adapted_student(), cases(4, forget=1), train_handlers=[handler], decollate=decollate)
    trainer.run()
    assert bars[0].postfix == f"epoch 1/1, loss {trainer.state.metrics['loss']:.4f}"


def test_log_lines_go_above_the_bar_and_back_to_their_handler_afterwards(bars):
    root = logging.getLogger()
    console = logging.StreamHandler()
    root.addHandler(console)
    try:
        before = list(root.handlers)
        during = []
        trainer = trainer_of(
            adapted_student(), cases(4, forget=1), train_handlers=[PhaseProgress(description="erase", disable=False)]
        )
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: during.extend(root.handlers))
        trainer.run()
        assert console not in during
        assert root.handlers == before
    finally:
        root.removeHandler(console)


class StepError(Exception):
    pass


def break_at_second_step(engine):
    if engine.state.iteration == 2:
        raise StepError("in the second step")


@pytest.mark.parametrize("disable", [True, False])
def test_an_exception_closes_the_bar_and_goes_on_its_way(bars, disable):
    before = list(logging.getLogger().handlers)
    handler = PhaseProgress(description="erase", disable=disable)
    trainer = trainer_of(adapted_student(), cases(8, forget=4), train_handlers=[handler])
    trainer.add_event_handler(Events.ITERATION_STARTED, break_at_second_step)
    with pytest.raises(StepError, match="in the second step"):
        trainer.run()
    assert [bar.closed for bar in bars] == [True]
    assert logging.getLogger().handlers == before


def test_an_interrupted_run_closes_the_bar(bars):
    def interrupt(engine):
        raise KeyboardInterrupt

    handler = PhaseProgress(description="erase", disable=False)
    trainer = trainer_of(adapted_student(), cases(4, forget=1), train_handlers=[handler])
    trainer.add_event_handler(Events.EPOCH_STARTED, interrupt)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert bars[0].closed


def test_a_run_that_is_terminated_early_closes_the_bar(bars):
    handler = PhaseProgress(description="erase", disable=False)
    trainer = trainer_of(adapted_student(), cases(8, forget=4), max_epochs=3, train_handlers=[handler])
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), lambda engine: engine.terminate())
    trainer.run()
    assert (bars[0].n, bars[0].closed) == (3, True)


@pytest.mark.parametrize("bar_first", [True, False])
def test_an_exception_passes_whichever_handler_hears_of_it_first(bar_first, caplog):
    """ignite tells the first handler alone, which has to raise again."""
    with caplog.at_level(logging.INFO):
        handlers = [PhaseProgress(description="erase", disable=True), StatsHandler(iteration_log=False)]
        ordered = handlers if bar_first else handlers[::-1]
        trainer = trainer_of(adapted_student(), cases(8, forget=4), train_handlers=ordered)
        trainer.add_event_handler(Events.ITERATION_STARTED, break_at_second_step)
        with pytest.raises(StepError):
            trainer.run()


def test_a_run_of_unknown_length_has_a_bar_without_a_total(bars):
    engine = Engine(lambda engine, batch: {"loss": torch.tensor(0.5)})
    PhaseProgress(description="erase", disable=False).attach(engine)
    engine.run(iter([1, 2, 3]))
    assert (bars[0].total, bars[0].n) == (None, 3)
