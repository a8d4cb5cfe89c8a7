"""Every figure reaches TensorBoard, and MLflow where a run is tracked; neither learns an identifier."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_unlearn.phases.tracking import figures_by_name

from . import zoo
from .conftest import ROOT, run_bundle, settings_for
from .zoo import unlearn, write_bundle

TRACKING = str(ROOT / "bundles" / "tracking.json")
REQUEST = ["case_04", "case_05"]
MLFLOW = pytest.mark.filterwarnings("ignore")  # MLflow brings a web server and a database, with warnings of their own


def test_every_number_of_an_audit_has_a_dotted_name() -> None:
    finding = {"value": 0.25, "oracle": None, "teacher": 1, "sentence": "x", "series": {"student": [1.0]}}
    content = {
        "models": {"student": {"forget": {"iou": 0.5, "dice_per_class": [0.1, None]}}, "oracle": None},
        "tests": {"relearning": {"tier": 0, "seconds": 2.5, "figures": {"recovery": finding}}},
        "verdict": {"hidden": True, "gap_interval": [-0.1, 0.2], "margins": {"measure": 0.02}, "sentences": ["x"]},
        "bundle": "b",
        "seed": 3,
    }
    assert figures_by_name(content) == {
        "models.student.forget.iou": 0.5,
        "models.student.forget.dice_per_class.0": 0.1,
        "tests.relearning.tier": 0.0,
        "tests.relearning.seconds": 2.5,
        "tests.relearning.recovery": 0.25,
        "tests.relearning.recovery.teacher": 1.0,
        "verdict.hidden": 1.0,
        "verdict.gap_interval.0": -0.1,
        "verdict.gap_interval.1": 0.2,
    }


@pytest.fixture(scope="module")
def plain(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of a run without tracking; tests must not change it."""
    out = tmp_path_factory.mktemp("plain") / "out"
    run_bundle("run", **settings_for(pictures, out) | {"request": REQUEST})
    return out


def test_tensorboard_holds_every_figure_of_the_audit_by_its_name(plain: Path) -> None:
    events = EventAccumulator(str(plain))
    events.Reload()
    figures = figures_by_name(json.loads((plain / "audit.json").read_text()))
    assert len(figures) > 20
    for name, value in figures.items():
        (scalar,) = events.Scalars(name)
        assert scalar.value == pytest.approx(value, rel=1e-5)
    for path in plain.glob("events.out.tfevents.*"):
        assert b"case_0" not in path.read_bytes()


@pytest.fixture
def mlflow() -> Any:
    return pytest.importorskip("mlflow", reason="mlflow is not installed (pip install monai-unlearn[track])")


def runs_in(mlflow: Any, out: Path) -> dict[str, dict[str, float]]:
    """Metrics by the name of the run, all runs ended; the database is closed again."""
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{out / 'mlflow.db'}")
    experiments = [one.experiment_id for one in client.search_experiments()]
    runs = client.search_runs(experiments)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len({run.info.run_name for run in runs}) == len(runs)
    found = {run.info.run_name: dict(run.data.metrics) for run in runs}
    client._tracking_client.store._dispose_engine()
    return found


@MLFLOW
def test_mlflow_holds_every_phase_and_every_figure_of_the_audit(
    mlflow: Any, pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(pictures, tmp_path / "out") | {"request": REQUEST}
    run_bundle("run", **settings, tracking=TRACKING)
    runs = runs_in(mlflow, tmp_path / "out")
    assert runs.keys() == {"teach", "erase", "restore", "audit"}
    assert "loss" in runs["teach"]
    assert {"loss", "calibrate_view", "supervised"} <= runs["erase"].keys()
    assert "supervised" in runs["restore"]
    assert runs["audit"] == pytest.approx(figures_by_name(json.loads((tmp_path / "out/audit.json").read_text())))
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or b"case_0" not in path.read_bytes(), path
    assert not list((tmp_path / "out").glob("config_*.json"))
    with caplog.at_level(logging.INFO):  # whether a run is watched is no input of its phases
        run_bundle("run", **settings)
    assert caplog.text.count("stands already") == 5


@MLFLOW
def test_the_overlay_is_tracked_once(mlflow: Any, tmp_path: Path, quiet_logging: None) -> None:
    def small(config: dict[str, Any]) -> None:
        config["network_def"].update(_target_="DenseNet", init_features=4, growth_rate=4, block_config=[1, 1])

    config = write_bundle(tmp_path / "bundle", "densenet", change=small)
    unlearn(config, tmp_path / "out", request=["case_01"], tracking=TRACKING)
    runs = runs_in(mlflow, tmp_path / "out")
    assert runs.keys() == {"erase", "restore", "audit"}
    assert "loss" in runs["erase"]
    assert "models.student.forget.accuracy" in runs["audit"]


def test_the_settings_of_tracking_patch_the_bundles_as_monai_does() -> None:
    from monai.bundle import ConfigParser, ConfigWorkflow

    settings = json.loads(Path(TRACKING).read_text())
    for name in ("isic_unlearn", "chase_unlearn", "hippocampus_unlearn", "isic_classification_unlearn"):
        parser = ConfigParser()
        parser.read_config(str(ROOT / "bundles" / f"{name}.json"))
        ConfigWorkflow.patch_bundle_tracking(parser, json.loads(json.dumps(settings)))
        for phase in ("train", "erase", "restore"):
            assert parser[phase]["handlers"][-1]["_target_"] == "monai.handlers.MLFlowHandler"
        assert parser["audit"]["tracker"]["_target_"] == "monai.handlers.MLFlowHandler"
        assert parser["save_execute_config"] is None
        last = len(parser["train"]["handlers"]) - 1
        assert parser.get_parsed_content(f"train#handlers#{last}#run_name") == "teach"
        parser["recipe_phase"] = "retrain"  # as for the oracle
        parser.parse(reset=True)
        assert parser.get_parsed_content(f"train#handlers#{last}#run_name") == "retrain"
    # under the overlay the bundle's own trainer trains oracles alone
    overlaid = ConfigParser({"train": {"trainer": {}, "handlers": []}, "audit": {}})
    ConfigWorkflow.patch_bundle_tracking(overlaid, json.loads(json.dumps(settings)))
    assert overlaid.get_parsed_content("train#handlers#0#run_name") == "retrain"
    assert zoo.OVERLAY.with_name("tracking.json") == Path(TRACKING)
