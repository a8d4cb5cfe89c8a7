from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from monai_unlearn.data import Criterion, Request, Where, load_request
from monai_unlearn.data.ledger import KEYS
from monai_unlearn.data.request_schema import DEMAND, LISTS, NESTED, TOP

PAGE = (Path(__file__).parents[2] / "docs" / "requests.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "content", "ids"),
    [
        ("r.txt", "id\nb\na\n", ("b", "a")),
        ("r.txt", "a\n\n 007 \n", ("a", "007")),
        ("r.csv", "id\na\nb\n", ("a", "b")),
        ("r.csv", "a\nb\n", ("a", "b")),
        ("r.csv", "reason,id\nwithdrew,a\nmoved,007\n", ("a", "007")),
        ("r.csv", "\ufeffid\na\n", ("a",)),
        ("r.json", '["a", "b"]', ("a", "b")),
        ("r.json", '{"ids": ["a", 7]}', ("a", "7")),
        ("r.yaml", "- 007\n- no\n- 1e5\n", ("007", "no", "1e5")),
        ("r.yml", "ids: [a, b]\n", ("a", "b")),
    ],
)
def test_every_file_format_gives_the_ids_as_they_are_written(
    tmp_path: Path, name: str, content: str, ids: tuple[str, ...]
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert load_request(str(tmp_path / name)).ids == ids


def test_a_number_is_a_random_share_and_a_list_is_ids() -> None:
    assert load_request(0.1).fraction == 0.1
    assert load_request(["a", "b"]).ids == ("a", "b")
    request = Request(ids=("a",))
    assert load_request(request) is request


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.txt", "a\nb\na\n", "'a' more than once"),
        ("r.txt", "\n", "names no case"),
        ("r.csv", "case,reason\na,b\n", "none is called 'id'"),
        ("r.csv", "id,reason\na,b\n,c\n", "row 3"),
        ("r.json", '{"ids": ["a"], "idz": []}', "'idz'"),
        ("r.json", '{"patients": "a"}', "'patients' of the request in .* should be a list of texts"),
        ("r.json", "[1, ", "cannot read the request"),
        ("r.yaml", "a: [b", "cannot read the request"),
        ("r.txt", b"\xff\xfe\x00", "cannot read the request"),
        ("r.xlsx", "a", "suffix"),
    ],
)
def test_a_bad_file_is_an_error_that_says_what_is_wrong(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        load_request(path)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 2])
def test_a_share_outside_zero_and_one_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        load_request(fraction)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        load_request("nowhere.csv")


def test_yaml_tags_build_no_objects(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"!!python/object/apply:os.mkdir ['{tmp_path / 'pwned'}']")
    assert load_request(tmp_path / "r.yaml").ids == (str(tmp_path / "pwned"),)
    assert not (tmp_path / "pwned").exists()


WHOLE = """
reference: 2026-017
date: 2026-03-31
reason: two demands,
  one letter
whole_patients: true
any_of:
  - patients: [007, 1e5]
  - all_of:
      - where: age < 18 and site in ["a", "b"]
      - raters: [2ndHO]
    reference: 2026-018
    reason: minors
"""
EXPECTED = Request(
    reason="two demands, one letter; minors",
    date="2026-03-31",
    reference="2026-017; 2026-018",
    whole_patients=True,
    any_of=(
        Criterion(patients=("007", "1e5")),
        Criterion(
            all_of=(Criterion(where='age < 18 and site in ["a", "b"]'), Criterion(raters=("2ndHO",))),
        ),
    ),
)


def without_source(request: Criterion) -> dict[str, Any]:
    """Everything that a request says but where it came from."""
    values = {key: value for key, value in vars(request).items() if key != "source"}
    return {
        key: [without_source(item) for item in value] if key in ("any_of", "all_of") and value else value
        for key, value in values.items()
    }


def test_a_whole_request_is_read_from_yaml_json_and_a_dictionary_alike(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(WHOLE)
    content = {
        "reference": "2026-017",
        "date": "2026-03-31",
        "reason": "two demands, one letter",
        "whole_patients": True,
        "any_of": [
            {"patients": ["007", "1e5"]},
            {
                "all_of": [{"where": 'age < 18 and site in ["a", "b"]'}, {"raters": ["2ndHO"]}],
                "reference": "2026-018",
                "reason": "minors",
            },
        ],
    }
    (tmp_path / "r.json").write_text(json.dumps(content))
    for specification in (tmp_path / "r.yaml", tmp_path / "r.json", content):
        assert without_source(load_request(specification)) == without_source(EXPECTED)


def test_classes_and_fractions_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("classes: [2, posterior]\nreason: wrong labels\n")
    assert load_request(tmp_path / "r.yaml").classes == ("2", "posterior")
    (tmp_path / "r.json").write_text('{"fraction": 0.25}')
    assert load_request(tmp_path / "r.json").fraction == 0.25


def test_a_table_names_patients_and_keeps_what_each_row_says_of_its_demand(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(
        "Patient,reference,date,reason,ward\n007,17,2026-03-01,withdrew,3\n007,17,2026-03-01,,3\np2,18,2026-04-02,,\n"
    )
    request = load_request(tmp_path / "r.csv")
    assert request.patients == ("007", "p2")
    assert (request.reference, request.date, request.reason) == ("17; 18", "2026-03-01; 2026-04-02", "withdrew")


def test_a_row_with_an_id_is_named_by_it_and_one_without_by_its_patient(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("id,patient\na,p1\n,p2\n")
    request = load_request(tmp_path / "r.csv")
    assert request.any_of is not None
    assert [(part.ids, part.patients) for part in request.any_of] == [(("a",), None), (None, ("p2",))]


def test_walking_a_request_meets_every_criterion() -> None:
    assert len(list(EXPECTED.walk())) == 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"pateints": ["a"]}, "unknown key 'pateints'; did you mean 'patients'"),
        ({"any_of": [{"ids": ["a"]}, {"sites": ["a"]}]}, r"any_of\[1\], has the unknown key 'sites'"),
        ({"any_of": [{"classes": [1]}]}, "'classes', which may stand at the top of a request alone"),
        ({"any_of": [{"reason": "x"}]}, "criterion under 'any_of' that names no case"),
        ({"any_of": []}, "should be a list of criteria; it is empty"),
        ({"any_of": {"ids": ["a"]}}, "should be a list of criteria"),
        ({"ids": ["a"], "patients": ["b"]}, "'ids' and 'patients' side by side"),
        ({"ids": ["a"], "classes": [1]}, "names several"),
        ({"ids": ["a"], "fraction": 0.1}, "names several"),
        ({"reason": "none"}, "names nothing"),
        ({"patients": []}, "names no case in 'patients'"),
        ({"raters": ["a", "a"]}, "'a' more than once"),
        ({"classes": []}, "names no class"),
        ({"classes": "a"}, "should be a list of label values or class names"),
        ({"fraction": "tenth"}, "should be a number between 0 and 1"),
        ({"ids": ["a"], "date": "31.3.2026"}, "date such as 2026-03-31; it is '31.3.2026'"),
        ({"ids": ["a"], "date": "2026-02-30"}, "day is out of range"),
        ({"ids": ["a"], "reason": ["x", {}]}, "'reason' of .* should be a text"),
        ({"ids": ["a"], "whole_patients": "maybe"}, "should be true or false; it is 'maybe'"),
        ({"fraction": 0.1, "whole_patients": False}, "'whole_patients', which goes with cases"),
        ({"classes": [1], "whole_patients": True}, "'whole_patients', which goes with cases"),
        ({"where": ["age < 18"]}, "'where' of .* should be a text"),
        ({"where": "age <"}, "'age <', character 6"),
        ({"ids": [True]}, "list that holds True"),
        ({}, "names nothing"),
    ],
)
def test_a_request_out_of_schema_is_an_error_that_says_what_is_wrong(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_request(content)


@pytest.mark.parametrize(
    ("name", "content"), [("r.json", '{"ids": ["a"], "ids": ["b"]}'), ("r.yml", "ids: [a]\nids: [b]\n")]
)
def test_a_key_that_comes_twice_is_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match="key 'ids' more than once"):
        load_request(tmp_path / name)


def test_a_yaml_file_that_holds_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("any_of: &a\n  - any_of: *a\n")
    with pytest.raises(ValueError, match=r"cannot read the request.*recursive"):
        load_request(tmp_path / "r.yaml")


def test_criteria_nest_only_so_deep() -> None:
    content: dict[str, Any] = {"ids": ["a"]}
    for _ in range(11):
        content = {"any_of": [content]}
    with pytest.raises(ValueError, match="nested more than 10 deep"):
        load_request(content)


def test_a_date_that_stands_in_no_calendar_is_refused_in_python_too() -> None:
    with pytest.raises(ValueError, match="'date' of the request"):
        Request(ids=("a",), date="yesterday")


def keys_of_table(after: str) -> set[str]:
    """The keys in the first column of the table that follows a heading of the page."""
    table = PAGE.split(after)[1].split("\n\n|", 1)[1].split("\n\n")[0]
    return {
        key for line in table.splitlines() for key in re.findall("`([a-z_0-9]+)`", line.lstrip("| ").split(" | ")[0])
    }


def test_the_page_lists_every_key_of_a_request_and_of_the_ledger() -> None:
    assert keys_of_table("## The file") == {*LISTS, "where", *NESTED, *TOP, *DEMAND}
    assert keys_of_table("## The ledger") == set(KEYS)


def test_the_examples_of_the_page_are_read(tmp_path: Path) -> None:
    yaml_examples = re.findall("```yaml\n(.*?)```", PAGE, re.DOTALL)
    table, conditions = re.findall("```text\n(.*?)```", PAGE, re.DOTALL)
    for number, (suffix, text) in enumerate([*(("yaml", text) for text in yaml_examples), ("csv", table)]):
        path = tmp_path / f"{number}.{suffix}"
        path.write_text(text)
        assert "PGBM-003" in {name for part in load_request(path).walk() for name in part.patients or ()}
    assert [Where(line).decide({"age": "17", "source": "rosendahl"}) for line in conditions.splitlines()] == [
        True,
        None,
        None,
    ]
