from __future__ import annotations

from pathlib import Path

import pytest

from monai_unlearn.data import Request, load_request


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
        ("r.json", '{"patients": ["a"]}', "list of ids"),
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
