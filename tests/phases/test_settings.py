from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_unlearn.phases import SETTINGS
from monai_unlearn.phases.settings import normalise_settings

NOTHING = ["none", "None", "NONE", "null", "NULL", "Null", "false", "False", "FALSE", " none ", "", None, False]

# key: values it takes, as (given, read); values it refuses
TEXT = ([("some/where", "some/where"), ("007", "007")], [True, 3, 0.5, ["a"], {"a": 1}])
OPTIONAL_TEXT = ([*TEXT[0], *((word, None) for word in NOTHING)], TEXT[1])
TABLE: dict[str, tuple[list[tuple[Any, Any]], list[Any]]] = {
    "dataset_dir": OPTIONAL_TEXT,
    "request": (
        [("ids.csv", "ids.csv"), (0.1, 0.1), (["a", "007"], ["a", "007"])],
        [*NOTHING, True],
    ),
    "group_by": OPTIONAL_TEXT,
    "table": OPTIONAL_TEXT,
    "output_dir": (TEXT[0], [*TEXT[1], "", " ", None, False]),
    "teacher_checkpoint": (
        [*OPTIONAL_TEXT[0], (["fold0.pt", "fold1.pt"], ["fold0.pt", "fold1.pt"])],
        [True, 3, 0.5, [3], ["fold0.pt", ""], {"a": 1}],
    ),
    "device": (
        [("cpu", torch.device("cpu")), (torch.device("cpu"), torch.device("cpu"))],
        ["gpu", "", "none", None, ["cpu"], {"a": 1}],
    ),
    "image_size": (
        [(16, 16), (128, 128), ([40, 56, 40], [40, 56, 40])],
        [15, 0, -1, 128.0, "128", True, None, "none", [], [40, 15], [40, "56"], {"a": 1}],
    ),
    "max_cases": ([(4, 4), (800, 800), *((word, None) for word in NOTHING)], [3, 0, 10.0, "800", True, [800]]),
    "scope": ([("adapters", "adapters"), ("weights", "weights")], ["Adapters", "", "none", None, True, ["adapters"]]),
    "erasure": ([("suppress", "suppress"), ("calibrate", "calibrate")], ["calibrated", None, False, ["suppress"]]),
    "rank": ([(1, 1), (16, 16)], [0, -1, 8.0, "8", True, None, [8]]),
    "retain_per_epoch": ([(1, 1), *((word, None) for word in NOTHING)], [0, 1.5, "100", True, [1]]),
    "seed": ([(0, 0), (7, 7)], [-1, 0.0, "0", False, None, "none", [1]]),
    "resume": (
        [
            (True, True),
            (False, False),
            ("true", True),
            ("TRUE", True),
            (" True ", True),
            ("false", False),
            ("none", False),
        ],
        [1, 0, "yes", "1", None, [True], {"a": 1}],
    ),
    "tier": ([(0, 0), (3, 3), *((word, None) for word in NOTHING)], [4, -1, 0.5, "0", True, [0]]),
    "student_checkpoint": OPTIONAL_TEXT,
    "ledger": OPTIONAL_TEXT,
    "report_images": (
        [("all", "all"), ("retain", "retain"), *((word, "none") for word in NOTHING)],
        ["forget", "ALL", True, 1, ["all"], {"a": 1}],
    ),
    "purge_teacher": ([(True, True), ("True", True), ("none", False), ("false", False)], [1, "yes", None, [True]]),
    "observer": ([("1stHO", "1stHO"), ("both", "both")], ["1stho", "", "none", None, True, ["both"]]),
    "activation": (
        [("sigmoid", "sigmoid"), ("softmax", "softmax"), *((word, None) for word in NOTHING)],
        ["Sigmoid", True, 1, ["sigmoid"]],
    ),
    "oracle": ([("train", "train"), ("oracle.pt", "oracle.pt"), *((word, None) for word in NOTHING)], [True, 1, ["a"]]),
}


def normalised(**config: Any) -> ConfigParser:
    parser = ConfigParser(config)
    normalise_settings(parser)
    return parser


def test_the_table_of_this_test_has_every_setting():
    assert TABLE.keys() >= SETTINGS.keys()


@pytest.mark.parametrize(
    ("key", "given", "read"), [(key, *pair) for key, (accepted, _) in TABLE.items() for pair in accepted]
)
def test_a_setting_takes(key, given, read):
    value = normalised(**{key: given})[key]
    assert value == read
    assert type(value) is type(read)


@pytest.mark.parametrize(("key", "given"), [(key, value) for key, (_, refused) in TABLE.items() for value in refused])
def test_a_setting_refuses_by_name(key, given):
    with pytest.raises(ValueError, match=f"'{key}'"):
        normalised(**{key: given})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there_is_refused_with_the_one_that_is():
    with pytest.raises(ValueError, match="sees 0 CUDA devices here; use --device cpu"):
        normalised(device="cuda:0")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("device", "$torch.device('cpu')"),
        ("output_dir", "@bundle_root"),
        ("image_size", "%network_def#size"),
        ("device", {"_target_": "torch.device", "type": "cpu"}),
    ],
)
def test_values_that_are_yet_to_be_made_are_left_to_the_config(key, value):
    assert normalised(**{key: value})[key] == value


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("requst", "request"),
        ("eraser", "erasure"),
        ("max_case", "max_cases"),
        ("teacher_checkpont", "teacher_checkpoint"),
    ],
)
def test_a_misspelt_setting_is_refused_with_the_nearest_name(misspelt, meant):
    with pytest.raises(ValueError, match=f"there is no setting '{misspelt}'; did you mean '{meant}'?"):
        normalised(**{"request": 0.1, misspelt: "x"})


def test_a_setting_like_no_other_is_refused_with_all_names():
    with pytest.raises(ValueError, match="there is no setting 'xyzzy'; the settings are dataset_dir, request"):
        normalised(xyzzy=1)


def test_nested_overrides_are_left_alone():
    nested = {"trainer": {"max_epochs": "none", "amp": False}, "optimizer": {"lr": 0.1}, "handlers": ["none"]}
    assert normalised(erase=dict(nested), seed=3)["erase"] == nested


def test_settings_that_a_config_lacks_are_not_added():
    assert set(normalised(seed=0).get()) == {"seed"}


def config_with(**settings: Any) -> dict[str, Any]:
    return {
        "imports": ["$import monai_unlearn"],
        "initialize": ["$monai_unlearn.phases.check_settings()"],
        "run": ["$@seen"],
        "seen": "$(@oracle, @resume, @max_cases)",
        **settings,
    }


def test_what_a_bundle_reads_is_normalised_before_it_runs(monkeypatch):
    monkeypatch.setattr("warnings.filters", list(__import__("warnings").filters))
    parser = ConfigParser(config_with(oracle="None", resume="False", max_cases="NULL"))
    parser.get_parsed_content("seen")  # as it was before
    parser.get_parsed_content("initialize")
    assert parser.get_parsed_content("seen") == (None, False, None)


def test_in_a_bundle_a_wrong_setting_ends_in_one_line(monkeypatch):
    monkeypatch.setattr("warnings.filters", list(__import__("warnings").filters))
    parser = ConfigParser(config_with(requst="x.csv"))
    with pytest.raises(SystemExit, match=r"^monai_unlearn: .* 'requst'; did you mean 'request'\?$"):
        parser.get_parsed_content("initialize")


@pytest.mark.filterwarnings("ignore::UserWarning")  # MONAI warns of missing metadata
def test_a_run_with_monais_tracking_is_not_taken_for_a_misspelt_one(monkeypatch, tmp_path):
    monkeypatch.setattr("warnings.filters", list(__import__("warnings").filters))
    config = config_with(oracle="None", resume=True, max_cases=8, bundle_root=str(tmp_path), output_dir=str(tmp_path))
    config["train"] = {"trainer": {"train_handlers": []}, "handlers": []}
    (tmp_path / "config.json").write_text(json.dumps(config))
    theirs = [tmp_path / name for name in ("config_train.json", "config_20200101_120000.json")]
    for path in theirs:
        path.write_text("{}")
    arguments = {
        "config_file": str(tmp_path / "config.json"),
        "logging_file": False,
        "tracking": "mlflow",
        "workflow_type": "train",
    }
    with pytest.raises(SystemExit, match=r"the ids of the request, in the clear.*--save_execute_config False"):
        ConfigWorkflow(**arguments).initialize()
    assert sorted(tmp_path.glob("config_*.json")) == sorted(theirs)
    with pytest.raises(SystemExit, match=r"in the clear to '.*dump\.json'; delete it; add --save_execute_config False"):
        ConfigWorkflow(**arguments, save_execute_config=str(tmp_path / "dump.json")).initialize()
    workflow = ConfigWorkflow(**arguments, save_execute_config=False)
    workflow.initialize()
    assert workflow.parser.get_parsed_content("seen") == (None, True, 8)


def test_cycles_need_the_scope_weights_and_say_so():
    with pytest.raises(ValueError, match="as they are; add --scope weights"):
        normalise_settings(ConfigParser({"scope": "adapters", "erasure": "cycle"}))
    normalise_settings(ConfigParser({"scope": "weights", "erasure": "cycle"}))
