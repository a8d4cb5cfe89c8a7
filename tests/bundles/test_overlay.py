"""The overlay on bundles in the model zoo's shape: it unlearns, and leaves the bundle as it was."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

from . import zoo
from .zoo import Config, checksums, own_network, unlearn, write_bundle

ONE = ["case_01"]

Change = Callable[[Config], None]


@dataclass(frozen=True)
class Outcome:
    """A run of the overlay: the bundle's config, checksums of the bundle before it, and what it left."""

    config: Path
    before: dict[str, str]
    out: Path

    @property
    def audit(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.out / "audit.json").read_text())
        return content

    @property
    def log(self) -> str:
        return (self.out / "run.log").read_text()


@pytest.fixture(scope="module")
def quiet() -> Iterator[None]:
    """Log as MONAI's logging.conf says, and undo what a run does to the loggers of this process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.setLevel(logging.INFO)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="module", params=sorted(zoo.KINDS))
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, quiet: None) -> Outcome:
    root = tmp_path_factory.mktemp(request.param) / "bundle"
    config = write_bundle(root, request.param)
    before = checksums(root)
    unlearn(config, root.parent / "out", request=ONE)
    return Outcome(config=config, before=before, out=root.parent / "out")


def test_the_bundle_is_left_byte_for_byte_as_it_was(outcome: Outcome) -> None:
    assert checksums(outcome.config.parents[1]) == outcome.before


def test_the_merged_weights_load_into_the_original_network_and_are_others(outcome: Outcome) -> None:
    network = own_network(outcome.config)
    teacher = torch.load(outcome.config.parents[1] / "models" / "model.pt", weights_only=True)
    released = torch.load(outcome.out / "model.pt", weights_only=True)
    network.load_state_dict(released, strict=True)
    assert any(not torch.equal(released[key], teacher[key]) for key in teacher)


def test_the_bundles_own_checkpoint_saver_writes_plain_weights_below_the_output_folder(outcome: Outcome) -> None:
    saved = torch.load(outcome.out / "checkpoints" / "model.pt", weights_only=True)
    own_network(outcome.config).load_state_dict(saved, strict=True)


def test_adapters_off_is_the_teacher_to_the_last_bit(outcome: Outcome) -> None:
    assert outcome.audit["reversible"]["max_abs_difference"] == 0.0


def test_one_case_is_forgotten_and_the_others_are_kept(outcome: Outcome) -> None:
    data = outcome.audit["data"]
    assert (data["forget"], data["retain"]) == (1, zoo.TRAINING - 1)
    assert data["reference"] + data["unseen"] == zoo.NEVER_TRAINED


def test_the_bundles_own_validation_runs_while_it_unlearns(outcome: Outcome) -> None:
    metric = "validate_accuracy" if outcome.audit["data"]["task"] == "classification" else "val_mean_dice"
    assert f"Epoch[1] Metrics -- {metric}:" in outcome.log


def test_a_cache_on_disk_lies_below_the_output_folder(outcome: Outcome) -> None:
    persistent = "PersistentDataset" in outcome.config.read_text()
    assert bool(list(outcome.out.glob("cache/*.pt"))) == persistent


def test_the_task_and_the_activation_are_read_off_the_bundle(outcome: Outcome) -> None:
    data = outcome.audit["data"]
    assert data["task"] == ("classification" if "densenet" in str(outcome.config) else "segmentation")
    assert data["softmax"] == ("segresnet" not in str(outcome.config))


# --- variants, each on the smallest bundle that shows it -------------------------------------------------------------


def shrunk(kind: str, change: Change | None = None) -> Change:
    """Make DenseNet121 a small one: the variants are about configs."""

    def alter(config: Config) -> None:
        if kind == "densenet":
            config["network_def"].update(_target_="DenseNet", init_features=4, growth_rate=4, block_config=[1, 1])
        if change is not None:
            change(config)

    return alter


@pytest.fixture
def run(tmp_path: Path, quiet: None) -> Any:
    def write_and_run(kind: str, *, change: Any = None, **settings: Any) -> Outcome:
        config = write_bundle(tmp_path / "bundle", kind, change=shrunk(kind, change))
        before = checksums(config.parents[1])
        unlearn(config, tmp_path / "out", **{"request": ONE, **settings})
        assert checksums(config.parents[1]) == before
        return Outcome(config=config, before=before, out=tmp_path / "out")

    return write_and_run


def started(tmp_path: Path, kind: str, *, change: Any = None, **settings: Any) -> ConfigWorkflow:
    """Adapt a bundle, and run nothing."""
    config = write_bundle(tmp_path / "bundle", kind, change=shrunk(kind, change))
    return unlearn(config, tmp_path / "out", run_id="", **{"request": ONE, **settings})


def test_a_class_is_named_by_the_metadata_and_unlearned(run: Any) -> None:
    outcome = run("unet", request={"classes": ["lesion"]})
    assert outcome.audit["request"]["classes"] == [2]
    assert outcome.audit["data"]["class_names"] == ["background", "organ", "lesion"]
    assert outcome.audit["data"]["retain"] == 0  # every case has it


def test_classes_without_names_are_numbered(run: Any) -> None:
    outcome = run("densenet", class_names=["only one"])
    assert outcome.audit["data"]["class_names"] == ["0", "1"]


def test_scope_weights_leaves_plain_weights_and_no_adapter(run: Any) -> None:
    outcome = run("densenet", scope="weights")
    assert outcome.audit["grade"] == "permanent"
    assert not (outcome.out / "adapter").exists()
    for name in ("model.pt", "checkpoints/model.pt"):
        own_network(outcome.config).load_state_dict(torch.load(outcome.out / name, weights_only=True), strict=True)


def test_suppress_pushes_a_case_to_background(run: Any) -> None:
    outcome = run("flexible_unet", erasure="suppress")
    assert outcome.audit["settings"]["erasure"] == "suppress"
    assert "suppress:" in outcome.log


def test_the_oracle_is_retrained_by_the_bundles_own_recipe(run: Any) -> None:
    outcome = run("segresnet", oracle="train")
    assert json.loads((outcome.out / "phases.json").read_text())["retraining"]["epochs"] == 3  # the bundle's own number
    network = own_network(outcome.config)
    for name in ("oracle/model.pt", "oracle/checkpoints/model.pt", "checkpoints/model.pt"):
        network.load_state_dict(torch.load(outcome.out / name, weights_only=True), strict=True)
    assert outcome.audit["models"]["oracle"]["forget"]["n"] == 1
    assert "learning rate" in outcome.log  # its own schedule


def test_a_second_run_has_nothing_to_do(tmp_path: Path, quiet: None, caplog: pytest.LogCaptureFixture) -> None:
    config = write_bundle(tmp_path / "bundle", "densenet", change=shrunk("densenet"))
    unlearn(config, tmp_path / "out", request=ONE)
    before = (tmp_path / "out" / "phases.json").read_bytes()
    with caplog.at_level(logging.INFO, "monai_unlearn"):
        unlearn(config, tmp_path / "out", request=ONE)
    assert (tmp_path / "out" / "phases.json").read_bytes() == before
    assert caplog.text.count("stands already") == 4


def test_each_network_of_an_ensemble_is_released_in_a_folder_of_its_own(run: Any, tmp_path: Path) -> None:
    folds = [str(tmp_path / f"fold_{number}.pt") for number in range(2)]

    def make_folds(config: Config) -> None:
        path = write_bundle(tmp_path / "twin", "densenet", change=shrunk("densenet"))
        for fold in folds:
            torch.save(own_network(path).state_dict(), fold)

    outcome = run("densenet", change=make_folds, teacher_checkpoint=folds)
    for number, fold in enumerate(folds):
        released = torch.load(outcome.out / f"network_{number}" / "model.pt", weights_only=True)
        assert released.keys() == torch.load(fold, weights_only=True).keys()
        assert json.loads((outcome.out / f"network_{number}" / "audit.json").read_text())["reversible"] == {
            "max_abs_difference": 0.0
        }


def test_a_yaml_config_with_a_logging_conf_in_a_folder_with_blanks_run_from_elsewhere(
    tmp_path: Path, quiet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = write_bundle(tmp_path / "my bundle", "densenet", change=shrunk("densenet"), config_name="train.yaml")
    shutil.copy(zoo.OVERLAY.with_name("logging.conf"), config.parent)
    before = checksums(config.parents[1])
    unlearn(config, Path("out put"), request=ONE, logging_file=str(config.parent / "logging.conf"))
    assert checksums(config.parents[1]) == before
    assert (tmp_path / "elsewhere" / "out put" / "model.pt").is_file()


def test_handlers_may_be_written_down_in_the_trainer(run: Any) -> None:
    def inline(config: Config) -> None:
        config["train"]["trainer"]["train_handlers"] = config["train"].pop("handlers")

    assert "val_mean_dice" not in (log := run("densenet", change=inline).log)
    assert "validate_accuracy" in log


@pytest.mark.filterwarnings("ignore:.*GradScaler", "ignore:.*Disabling autocast", "ignore:.*device_type of 'cuda'")
def test_workers_and_mixed_precision_are_the_bundles(run: Any) -> None:
    def heavy(config: Config) -> None:
        config["train"]["dataloader"]["num_workers"] = 1
        config["train"]["trainer"]["amp"] = config["validate"]["evaluator"]["amp"] = True

    assert run("flexible_unet", change=heavy).audit["reversible"]["max_abs_difference"] == 0.0


def test_labels_may_be_one_hot(run: Any) -> None:
    def one_hot(config: Config) -> None:
        config["train"]["deterministic_transforms"].insert(
            2, {"_target_": "AsDiscreted", "keys": "label", "to_onehot": 3}
        )
        config["loss"]["to_onehot_y"] = False
        for part in ("train", "validate"):
            config[part]["postprocessing"] = {
                "_target_": "Compose",
                "transforms": [{"_target_": "AsDiscreted", "keys": "pred", "argmax": True, "to_onehot": 3}],
            }

    outcome = run("unet", change=one_hot, request={"classes": ["lesion"]})
    assert outcome.audit["request"]["classes"] == [2]


def test_the_parts_may_all_lie_at_the_top_level(run: Any) -> None:
    """As in MONAI's own templates, whose run is ``@trainer.run()``; the oracle is retrained without the case, too."""

    def apart(config: Config) -> None:
        for section, engine in (("train", "trainer"), ("validate", "evaluator")):
            parts = config.pop(section)
            config.update({engine if key == engine else f"{section}_{key}": value for key, value in parts.items()})
        text = json.dumps(config).replace("@train#trainer", "@trainer").replace("@validate#evaluator", "@evaluator")
        moved = json.loads(re.sub(r"([@%])(train|validate)#", r"\1\2_", text))
        config.clear()
        config.update(moved)

    outcome = run("densenet", change=apart, oracle="train")
    assert "validate_accuracy" in outcome.log
    assert (outcome.out / "checkpoints" / "model.pt").is_file()
    assert outcome.audit["data"]["forget"] == 1
    assert "Epoch: 1/3, Iter: 3/3" in outcome.log  # five retain cases in batches of two


def test_a_key_of_the_bundle_that_is_also_one_of_ours_keeps_its_meaning(run: Any) -> None:
    """``rank`` is the number of a process in MONAI's templates; as the rank of adapters it would switch off savers."""

    def ranked(config: Config) -> None:
        config["rank"] = 0
        config["is_not_rank0"] = "$@rank > 0"
        config["validate"]["handlers"][-1]["_disabled_"] = "@is_not_rank0"

    outcome = run("densenet", change=ranked, rank=2)
    assert (outcome.out / "checkpoints" / "model.pt").is_file()
    assert json.loads((outcome.out / "adapter" / "adapter_config.json").read_text())["r"] == 2


def test_what_the_bundle_does_to_begin_with_is_done(tmp_path: Path, quiet: None, monkeypatch: Any) -> None:
    monkeypatch.setenv("ZOO_BEGINS", "no")

    def begins(config: Config) -> None:
        config["initialize"].append("$os.environ.__setitem__('ZOO_BEGINS', 'yes')")

    started(tmp_path, "densenet", change=begins)
    import os

    assert os.environ["ZOO_BEGINS"] == "yes"


def test_a_bundle_that_does_not_say_where_it_lies_lies_here(
    tmp_path: Path, quiet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(config: Config) -> None:
        del config["bundle_root"]
        config.update(ckpt_dir="models", output_dir="eval")

    config = write_bundle(tmp_path / "bundle", "densenet", change=shrunk("densenet", nowhere))
    monkeypatch.chdir(tmp_path / "bundle")
    parser = unlearn(config, tmp_path / "out", run_id="", request=ONE).parser
    assert parser.get_parsed_content("teacher_checkpoint") == "./models/model.pt"


def test_networks_that_are_built_round_one_shared_part_are_separate(tmp_path: Path, quiet: None) -> None:
    """As of DiNTS: ``network_def`` refers to a module that stands apart in the config."""

    def shared(config: Config) -> None:
        config["imports"].append("$import torch")
        config["part"] = {"_target_": "torch.nn.Conv2d", "in_channels": 3, "out_channels": 2, "kernel_size": 32}
        config["network_def"] = "$torch.nn.Sequential(@part, torch.nn.Flatten())"

    parser = started(tmp_path, "densenet", change=shared).parser
    names = ("network_def", "student_network", "audit#network", "audit#oracle_network")
    weights = [parser.get_parsed_content(name)[0].weight for name in names]
    assert len({weight.data_ptr() for weight in weights}) == len(names)


def with_patients(config: Config) -> None:
    for part, first in (("train", 0), ("validate", zoo.TRAINING)):
        listed = config[part]["dataset"]["data"].removeprefix("$")
        config[part]["dataset"]["data"] = (
            f"$[{{**c, 'patient': f'p{{({first} + i) // 2}}', 'age': 10 * i}} for i, c in enumerate({listed})]"
        )


@pytest.mark.parametrize(
    ("request_", "forgotten"),
    [
        ({"patients": ["p1"]}, ["case_02", "case_03"]),
        (["case_02"], ["case_02", "case_03"]),
        ({"where": "age < 20"}, ["case_00", "case_01"]),
    ],
)
def test_whole_patients_are_forgotten_by_a_column_of_the_datalist(
    tmp_path: Path, quiet: None, request_: Any, forgotten: list[str]
) -> None:
    workflow = started(tmp_path, "densenet", change=with_patients, request=request_, group_by="patient")
    partition = workflow.parser.get_parsed_content("partition")
    assert sorted(partition.forget_ids) == forgotten


def test_a_table_names_the_patients(tmp_path: Path, quiet: None) -> None:
    rows = [f"case_{index:02d},p{index // 3}" for index in range(zoo.TRAINING + zoo.NEVER_TRAINED)]
    (tmp_path / "patients.csv").write_text("\n".join(["id,patient", *rows]))
    workflow = started(
        tmp_path,
        "densenet",
        request={"patients": ["p1"]},
        group_by="patient",
        table=str(tmp_path / "patients.csv"),
    )
    assert sorted(workflow.parser.get_parsed_content("partition").forget_ids) == ["case_03", "case_04", "case_05"]


def test_cases_may_be_named_by_their_folders(tmp_path: Path, quiet: None) -> None:
    def foldered(config: Config) -> None:
        images = Path(config["dataset_dir"]) / "images"
        for image in sorted(images.iterdir()):
            (images / image.stem).mkdir()
            image.rename(images / image.stem / "t2.png")
        config["images"] = "$list(sorted(glob.glob(@dataset_dir + '/images/*/t2.png')))"

    workflow = started(tmp_path, "densenet", change=foldered, id_from="folder")
    assert workflow.parser.get_parsed_content("partition").forget_ids == {"case_01"}
