"""What cannot work ends with one line that says what and where, and leaves nothing half-written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .zoo import OVERLAY, Config, checksums, unlearn, write_bundle


def refused(tmp_path: Path, *, kind: str = "flexible_unet", change: Any = None, **settings: Any) -> str:
    """Run the overlay on a bundle; return the line it ends with. The bundle stays as it is."""
    config = write_bundle(tmp_path / "bundle", kind, change=change)
    if (after := settings.pop("after", None)) is not None:
        after(config.parents[1])
    before = checksums(config.parents[1])
    with pytest.raises(SystemExit) as stop:
        unlearn(config, tmp_path / "out", **{"request": ["case_01"], **settings})
    assert checksums(config.parents[1]) == before
    assert not (tmp_path / "out" / "model.pt").exists()
    assert not (tmp_path / "out" / "state").exists()
    line = str(stop.value)
    assert line.startswith("monai_unlearn: ")
    assert "\n" not in line
    return line.removeprefix("monai_unlearn: ")


def without(path: str) -> Any:
    def change(config: Config) -> None:
        *sections, last = path.split("#")
        part = config
        for section in sections:
            part = part[section]
        del part[last]

    return change


def with_value(path: str, value: Any) -> Any:
    def change(config: Config) -> None:
        *sections, last = path.split("#")
        part = config
        for section in sections:
            part = part[section]
        part[last] = value

    return change


@pytest.mark.parametrize("piece", ["train#dataset", "train#trainer", "train#dataloader", "train#inferer"])
def test_a_bundle_without_a_piece_of_its_training(tmp_path: Path, piece: str) -> None:
    # the overlay's own file sets train#trainer#max_epochs, so that an empty trainer is what is left of none
    line = refused(tmp_path, change=without(piece))
    assert line.startswith("the overlay cannot be used with this bundle: ")
    assert f"'{piece}' is " in line


def test_a_bundle_without_cases_that_were_never_trained_on(tmp_path: Path) -> None:
    line = refused(tmp_path, change=without("validate#dataset"))
    assert "'validate#dataset' is missing (the cases that the network was never trained on are read from it" in line


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("train#trainer#_target_", "monai.engines.AdversarialTrainer", "only MONAI's SupervisedTrainer"),
        ("train#trainer#iteration_update", "$lambda engine, batch: None", "'iteration_update' of its own"),
        ("train#trainer#prepare_batch", "$monai.engines.PrepareBatchExtraInput('x')", "'prepare_batch' of its own"),
        ("train#dataset#_target_", "SmartCacheDataset", "changes its cases while it trains"),
        ("train#dataset#_target_", "PatchWSIDataset", "cuts patches outside its transforms"),
        ("train#dataloader#batch_size", None, "'train#dataloader' has no batch size"),
        ("loss", {"_target_": "DeepSupervisionLoss", "loss": "$monai.losses.DiceLoss()"}, "DeepSupervisionLoss"),
    ],
)
def test_a_bundle_that_works_in_another_way(tmp_path: Path, path: str, value: Any, words: str) -> None:
    assert words in refused(tmp_path, change=with_value(path, value))


def test_a_validation_set_without_transforms(tmp_path: Path) -> None:
    assert "'validate#dataset' has no 'transform'" in refused(tmp_path, change=without("validate#dataset#transform"))


def test_a_missing_teacher_names_the_key_that_gives_one(tmp_path: Path) -> None:
    line = refused(tmp_path, after=lambda root: (root / "models" / "model.pt").unlink())
    assert line.endswith("to unlearn from; give its weights with --teacher_checkpoint")
    assert str(tmp_path / "bundle" / "models" / "model.pt") in line


def test_one_missing_network_of_an_ensemble(tmp_path: Path) -> None:
    there, gone = str(tmp_path / "bundle" / "models" / "model.pt"), str(tmp_path / "fold_1.pt")
    assert gone in refused(tmp_path, teacher_checkpoint=[there, gone])


def test_weights_of_another_network(tmp_path: Path) -> None:
    write_bundle(tmp_path / "other", "unet")
    line = refused(tmp_path, teacher_checkpoint=str(tmp_path / "other" / "models" / "model.pt"))
    assert "is not a checkpoint of this FlexibleUNet" in line


def test_nothing_is_asked_for(tmp_path: Path) -> None:
    line = refused(tmp_path, request=None)
    assert line.startswith(
        "'request' says what to forget: a .txt, .csv, .json or .yaml file of case ids, a list of ids"
    )


def test_a_case_that_is_not_there(tmp_path: Path) -> None:
    assert "did you mean 'case_01'" in refused(tmp_path, request=["case_1"])


def test_a_misspelt_setting_is_answered_with_the_nearest_one(tmp_path: Path) -> None:
    assert refused(tmp_path, requst="x.csv") == "there is no setting 'requst'; did you mean 'request'?"


def test_two_cases_of_one_name_in_two_folders_are_both_named(tmp_path: Path) -> None:
    def alike(config: Config) -> None:
        images = Path(config["dataset_dir"]) / "images"
        for image in sorted(images.iterdir()):
            (images / image.stem).mkdir()
            image.rename(images / image.stem / "t2.png")
        config["images"] = "$list(sorted(glob.glob(@dataset_dir + '/images/*/t2.png')))"

    line = refused(tmp_path, change=alike)
    assert re.match(r"two cases have the id 't2': .*/case_00/t2.png and .*/case_01/t2.png\. ", line)
    assert "--id_from folder" in line


def test_an_unknown_way_to_name_cases(tmp_path: Path) -> None:
    assert refused(tmp_path, id_from="parent") == "'id_from' is one of file, folder, folder/file; got 'parent'"


def test_a_validation_on_the_training_cases(tmp_path: Path) -> None:
    def same(config: Config) -> None:
        config["validate"]["dataset"]["data"] = config["train"]["dataset"]["data"]

    line = refused(tmp_path, change=same)
    assert re.match(r"the image .*case_00\.png is in 'train#dataset' and in 'validate#dataset'", line)


def test_a_folder_without_images(tmp_path: Path) -> None:
    line = refused(tmp_path, dataset_dir=str(tmp_path / "nowhere"))
    assert line == "'train#dataset' has no cases: its list is empty; is 'dataset_dir' right?"


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    def remove(root: Path) -> None:
        (root.parent / "bundle_data" / "images" / "case_03.png").unlink()

    listed = [
        {key: f"{part}/case_{i:02d}.png" for key, part in (("image", "images"), ("label", "masks"))} for i in range(6)
    ]
    data = f"$[{{k: @dataset_dir + '/' + v for k, v in item.items()}} for item in {listed}]"
    line = refused(tmp_path, after=remove, change=with_value("train#dataset#data", data))
    assert re.match(r"cannot find the image .*/case_03\.png of the case 'case_03'", line)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a reader of MONAI leaves it open
@pytest.mark.parametrize("kind", ["unet", "flexible_unet"], ids=["CacheDataset", "Dataset"])
def test_a_file_that_is_cut_off(tmp_path: Path, kind: str) -> None:
    def cut(root: Path) -> None:
        file = next((root.parent / "bundle_data").glob("images*/case_04.*"))
        file.write_bytes(file.read_bytes()[:60])

    line = refused(tmp_path, kind=kind, after=cut)
    assert re.match(r"the case 'case_04' \(image .*/case_04\..*, label .*\) cannot be read \(", line)


def test_transforms_that_give_no_label(tmp_path: Path) -> None:
    def drop(config: Config) -> None:
        config["train"]["deterministic_transforms"].append({"_target_": "SelectItemsd", "keys": "image"})
        config["train"]["random_transforms"] = []

    assert "give no 'label', but 'image'" in refused(tmp_path, change=drop)


def test_a_network_of_several_outputs(tmp_path: Path) -> None:
    def deep(config: Config) -> None:
        config["network_def"].update(deep_supervision=True, deep_supr_num=1)

    line = refused(tmp_path, kind="dynunet", change=deep)
    assert line.startswith("'network_def' (DynUNet) gives an output of shape ")
    assert "deep supervision" in line


def test_a_network_that_does_not_take_the_images(tmp_path: Path) -> None:
    line = refused(tmp_path, change=with_value("network_def#in_channels", 1))
    assert line.startswith("'network_def' (FlexibleUNet) cannot take an image as 'train#dataset' gives it, of shape")


def test_a_loss_that_does_not_say_what_the_logits_mean(tmp_path: Path) -> None:
    line = refused(tmp_path, change=with_value("loss", {"_target_": "torch.nn.MSELoss"}))
    assert line.endswith("say it with --activation sigmoid or --activation softmax")


def test_the_command_line_shows_one_line_and_no_traceback(tmp_path: Path) -> None:
    config = write_bundle(tmp_path / "bundle", "flexible_unet")
    (tmp_path / "empty").mkdir()
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", f"['{config}','{OVERLAY}']"]
    finished = subprocess.run(
        [*command, "--requst", "a.csv"], capture_output=True, text=True, cwd=tmp_path / "empty", check=False
    )
    assert finished.returncode != 0
    assert finished.stderr.strip().splitlines()[-1] == (
        "monai_unlearn: there is no setting 'requst'; did you mean 'request'?"
    )
    assert "Traceback" not in finished.stderr
    assert list((tmp_path / "empty").iterdir()) == []
    shutil.rmtree(tmp_path / "empty")
