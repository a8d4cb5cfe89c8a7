from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest
import torch

from monai_unlearn.files import save_tensors, sha256_of, write_atomically


def test_a_file_is_written_with_the_folders_above_it(tmp_path):
    path = write_atomically(tmp_path / "a" / "b" / "c.txt", lambda path: path.write_text("new"))
    assert path == tmp_path / "a" / "b" / "c.txt"
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["c.txt"]


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "c.txt"
    path.write_text("old")

    def write(temporary):
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert (temporary.parent, temporary.suffix) == (path.parent, ".txt")

    write_atomically(path, write)
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError("half-way"), KeyboardInterrupt()])
@pytest.mark.parametrize("existing", [True, False])
def test_a_writer_that_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path, error, existing):
    path = tmp_path / "c.txt"
    if existing:
        path.write_text("old")

    def write(temporary):
        temporary.write_text("ne")
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, write)
    assert {name: (tmp_path / name).read_text() for name in os.listdir(tmp_path)} == (
        {"c.txt": "old"} if existing else {}
    )


def test_a_full_disk_is_said_with_the_path(tmp_path):
    path = tmp_path / "c.txt"
    path.write_text("old")

    def write(temporary):
        temporary.write_text("ne")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(ValueError, match=rf"cannot write {path}: No space left on device; nothing was overwritten"):
        write_atomically(path, write)
    assert os.listdir(tmp_path) == ["c.txt"]
    assert path.read_text() == "old"


def test_a_checkpoint_that_does_not_fit_the_disk_is_said_with_its_path(tmp_path, monkeypatch):
    """Given a path, ``torch.save`` would raise a RuntimeError about its archive."""

    def fill_the_disk(path, content):
        with path.open("wb") as file:
            file.write(content[:1024])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", fill_the_disk)
    with pytest.raises(ValueError, match=rf"cannot write {tmp_path}/model\.pt: No space left on device"):
        save_tensors(tmp_path / "model.pt", {"weight": torch.zeros(100_000)})
    assert os.listdir(tmp_path) == []


def test_tensors_are_read_back_as_they_were(tmp_path):
    tensors = {"weight": torch.randn(3, 2), "steps": torch.tensor(7)}
    read = torch.load(save_tensors(tmp_path / "model.pt", tensors), weights_only=True)
    assert all(torch.equal(read[name], value) for name, value in tensors.items())


@pytest.mark.parametrize("in_the_way", ["file above", "folder"])
def test_something_in_the_way_is_said_with_the_path(tmp_path, in_the_way):
    if in_the_way == "file above":
        (tmp_path / "a").write_text("")
        path = tmp_path / "a" / "c.txt"
    else:
        path = tmp_path / "c.txt"
        path.mkdir()
    with pytest.raises(ValueError, match=f"cannot write {path}: "):
        write_atomically(path, lambda temporary: temporary.write_text("new"))
    assert len(os.listdir(tmp_path)) == 1


def test_the_file_may_be_read_by_whom_the_umask_allows(tmp_path):
    before = os.umask(0o027)
    try:
        path = write_atomically(tmp_path / "c.txt", lambda path: path.write_text("new"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_sha256_is_that_of_the_content(tmp_path):
    content = os.urandom(2**20 + 17)
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_file_that_cannot_be_hashed_is_named(tmp_path):
    with pytest.raises(ValueError, match=rf"cannot read {tmp_path}/none\.pt: No such file or directory"):
        sha256_of(tmp_path / "none.pt")
