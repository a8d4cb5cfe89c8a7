from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from monai_unlearn.data import case_id, hash_identifier, load_or_create_salt


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ({"image": "scans/spleen_0.nii.gz"}, "spleen_0"),
        ({"image": Path("a.b") / "ISIC_0000000.jpg"}, "ISIC_0000000"),
        ({"image": ["p1_t1.nii", "p1_t2.nii"]}, "p1_t1"),
        ({"image": "1.2.840.113619.dcm"}, "1.2.840.113619"),
        ({"image": "x.png", "id": 7}, "7"),
        ({"image": "x.png", "id": ""}, "x"),
    ],
)
def test_a_case_is_named_by_its_id_or_its_file(item: dict[str, object], name: str) -> None:
    assert case_id(item) == name


def test_a_case_without_name_or_file_is_an_error_that_lists_its_keys() -> None:
    with pytest.raises(ValueError, match="'label'"):
        case_id({"label": "x.png"})


def test_the_hash_is_hmac_sha256_under_the_salt() -> None:
    expected = hmac.new(b"s" * 32, b"patient", hashlib.sha256).hexdigest()
    assert hash_identifier("patient", b"s" * 32) == expected


def test_the_salt_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "salt.key"
    salt = load_or_create_salt(path)
    assert len(salt) == 32
    assert load_or_create_salt(path) == salt
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_damaged_salt_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "salt.key").write_bytes(b"short")
    with pytest.raises(ValueError, match="32 random bytes and holds 5"):
        load_or_create_salt(tmp_path / "salt.key")
