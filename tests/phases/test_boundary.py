from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser

import monai_unlearn
from monai_unlearn.losses import case_losses
from monai_unlearn.networks import load_weights
from monai_unlearn.phases.boundary import calling_parser, one_line_errors

PACKAGE = Path(monai_unlearn.__file__).parent


def evaluate(config: dict[str, Any], name: str) -> Any:
    with one_line_errors():
        return ConfigParser(config).get_parsed_content(name)


def test_our_error_deep_in_a_config_becomes_one_line():
    config = {
        "term": {"_target_": "monai_unlearn.losses.GuardTerm", "weight": -1},
        "terms": {"guard": "@term"},
        "outer": "$list(@terms)",
    }
    with pytest.raises(SystemExit) as caught:
        evaluate(config, "outer")
    assert str(caught.value) == "monai_unlearn: weight of GuardTerm is -1; it must be finite and not negative."
    assert caught.value.__cause__ is not None, "the whole story is kept for who debugs"


def test_our_error_in_an_expression_becomes_one_line(tmp_path):
    config = {
        "imports": ["$import monai_unlearn"],
        "network": {"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 1},
        "loaded": f"$monai_unlearn.networks.load_weights(@network, {str(tmp_path / 'none.pt')!r})",
    }
    with pytest.raises(SystemExit, match=r"^monai_unlearn: There is no checkpoint .*none\.pt\.$"):
        evaluate(config, "loaded")


def test_an_error_of_several_lines_becomes_one_line(tmp_path):
    (tmp_path / "broken.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(SystemExit) as caught, one_line_errors():
        load_weights(torch.nn.Linear(1, 1), tmp_path / "broken.pt")
    assert "\n" not in str(caught.value)
    assert "broken.pt" in str(caught.value)


def test_an_error_of_the_system_in_our_code_becomes_one_line():
    code = compile("open('/nowhere/at/all')", str(PACKAGE / "data" / "anything.py"), "exec")
    with (
        pytest.raises(SystemExit, match=r"^monai_unlearn: .*No such file or directory: '/nowhere/at/all'"),
        one_line_errors(),
    ):
        exec(code)


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"x": {"_target_": "torch.nn.Linear", "in_features": "many", "out_features": 1}}, RuntimeError),
        ({"x": "$1 / 0"}, RuntimeError),
        ({"x": "$int('seven')"}, RuntimeError),
    ],
)
def test_errors_of_others_pass_with_their_traceback(config, error):
    with pytest.raises(error) as caught:
        evaluate(config, "x")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("error", [ValueError, OSError])
def test_an_error_of_a_users_own_code_passes_also_where_we_call_it(error):
    def users_loss(logits, label):
        raise error("a mistake of the user's loss")

    with pytest.raises(error, match=r"^a mistake of the user's loss$"), one_line_errors():
        case_losses(users_loss, torch.zeros(1, 1), torch.zeros(1, 1))


def test_a_package_whose_name_begins_like_ours_is_not_ours():
    code = compile("raise ValueError('theirs')", f"{PACKAGE}_extra/module.py", "exec")
    with pytest.raises(ValueError, match=r"^theirs$"), one_line_errors():
        exec(code)


@pytest.mark.parametrize("error", [TypeError("ours"), KeyError("ours"), RuntimeError("ours"), AssertionError("ours")])
def test_other_kinds_of_error_of_ours_are_bugs_and_pass(error):
    code = compile("raise error", str(PACKAGE / "data" / "anything.py"), "exec")
    with pytest.raises(type(error)), one_line_errors():
        exec(code, {"error": error})


def test_without_an_error_nothing_happens():
    with one_line_errors():
        result = 1 + 1
    assert result == 2


@pytest.mark.parametrize("error", [SystemExit("stop"), KeyboardInterrupt()])
def test_a_stop_passes(error):
    with pytest.raises(type(error)), one_line_errors():
        raise error


def test_the_parser_at_work_is_found():
    parser = ConfigParser(
        {"imports": ["$import monai_unlearn"], "found": "$monai_unlearn.phases.boundary.calling_parser()"}
    )
    assert parser.get_parsed_content("found") is parser


def test_of_two_parsers_at_work_the_inner_one_is_found():
    outer = ConfigParser({"found": "$make()"}, globals={"make": None})
    inner = ConfigParser(
        {"imports": ["$import monai_unlearn"], "found": "$monai_unlearn.phases.boundary.calling_parser()"}
    )
    outer.globals["make"] = lambda: inner.get_parsed_content("found")
    assert outer.get_parsed_content("found") is inner


def test_outside_a_bundle_there_is_no_parser():
    with pytest.raises(RuntimeError, match="no config is being evaluated"):
        calling_parser()
