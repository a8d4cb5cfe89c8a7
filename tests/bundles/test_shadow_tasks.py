"""Tier 2 and 3 of the audit on other tasks than one mask: several classes in space, a class request, a classifier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monai_unlearn.data import LESION_CLASSES, write_class_phantoms, write_volume_phantoms

from .conftest import ROOT, run_bundle

ONE_EPOCH = {"train#trainer#max_epochs": 1, "erase#trainer#max_epochs": 1, "rank": 2, "device": "cpu"}
ONE_EPOCH |= {"erase#sampler#batch_size": 4, "erase#sampler#forget_per_batch": 1, "audit#shadow#pairs": 4}


def audited(bundle: str, out: Path, *profiles: str, **settings: Any) -> dict[str, Any]:
    files = [str(ROOT / f"bundles/{name}.json") for name in (bundle, *profiles)]
    run_bundle("run", files, output_dir=str(out), **ONE_EPOCH, **settings)
    return dict(json.loads((out / "audit.json").read_text())["tests"])


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = write_volume_phantoms(tmp_path_factory.mktemp("volumes") / "set", count=16, size=(16, 20, 16))
    network = {"network_def#channels": [4, 8], "network_def#strides": [2]}
    return {"dataset_dir": str(folder), "image_size": [16, 20, 16], **network}


@pytest.fixture(scope="module")
def lesions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = write_class_phantoms(tmp_path_factory.mktemp("lesions") / "set", count=40, size=16)
    return {"dataset_dir": str(folder), "image_size": 16, "network_def#block_inplanes": [4, 4, 8, 8], "request": 0.2}


def test_shadow_models_in_space_forget_cases(volumes, tmp_path) -> None:
    figures = audited(
        "hippocampus_unlearn", tmp_path / "out", request=0.2, **volumes, **{"audit#tests#only": ["shadow"]}
    )["shadow"]["figures"]
    assert figures["klom"]["value"] >= 0
    assert figures["klom"]["details"]["parts"] == ["foreground", "boundary", "hardest"]
    assert "network_def channels [2, 4]" in figures["klom"]["sentence"]


def test_shadow_models_of_a_classifier_forget_a_class(lesions, tmp_path) -> None:
    (tmp_path / "request.yaml").write_text(f"classes: [{LESION_CLASSES[0]}]\n")
    settings = {**lesions, "request": str(tmp_path / "request.yaml"), "audit#tests#only": ["shadow"]}
    figures = audited("isic_classification_unlearn", tmp_path / "out", **settings)["shadow"]["figures"]
    assert figures["klom"]["details"]["parts"] == ["case"]
    assert "network_def block_inplanes [2, 2, 4, 4]" in figures["klom"]["sentence"]
    assert 0 <= figures["worst_case"]["value"] <= 1


def test_without_retain_cases_there_is_nothing_to_draw_from(volumes, tmp_path) -> None:
    (tmp_path / "request.yaml").write_text("classes: [posterior]\n")
    settings = {**volumes, "request": str(tmp_path / "request.yaml"), "audit#tests#only": ["shadow"]}
    with pytest.raises(SystemExit, match="halves of the retain cases, whole groups each, and there is none"):
        audited("hippocampus_unlearn", tmp_path / "out", **settings)
    assert not (tmp_path / "out/teacher").exists()


@pytest.mark.parametrize("bundle", ["hippocampus_unlearn", "isic_classification_unlearn"])
def test_the_profile_plants_in_other_tasks_as_well(bundle, volumes, lesions, tmp_path) -> None:
    settings = {**volumes, "request": 0.2} if bundle.startswith("hippo") else lesions
    tests = audited(
        bundle, tmp_path / "out", "profiles/canaries", **settings, **{"audit#tests#only": ["canaries", "backdoor"]}
    )
    assert tests["canaries"]["figures"]["trace"]["value"] is not None
    assert tests["backdoor"]["figures"]["success"]["oracle"] is not None
