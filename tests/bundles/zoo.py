"""Bundles in the shape of the model zoo's, small enough for tests: config, metadata, data and (random) weights."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
import yaml
from monai.bundle import ConfigParser, ConfigWorkflow, create_workflow
from PIL import Image

Config = dict[str, Any]

OVERLAY = Path(__file__).parents[2] / "bundles" / "unlearn.json"

TRAINING, NEVER_TRAINED = 6, 6


def write_bundle(
    root: Path, kind: str, *, change: Callable[[Config], None] | None = None, config_name: str = "train.json"
) -> Path:
    """Write a whole bundle folder, and its data beside it; return the path of its training config.

    Args:
        root: the bundle's folder, made here.
        kind: one of ``KINDS``.
        change: alters the config before it is written.
        config_name: JSON or YAML.
    """
    config = KINDS[kind](root)
    if change is not None:
        change(config)
    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    path = root / "configs" / config_name
    path.write_text(json.dumps(config, indent=4) if path.suffix == ".json" else yaml.safe_dump(config))
    channels = ["background", "organ", "lesion"][: 2 if kind != "unet" else 3]
    metadata = {
        "name": f"Test {kind}",
        "version": "0.1.0",
        "monai_version": "1.6.1",
        "pytorch_version": "2.8.0",
        "numpy_version": "2.0.0",
        "network_data_format": {"outputs": {"pred": {"channel_def": dict(zip("012", channels, strict=False))}}},
    }
    (root / "configs" / "metadata.json").write_text(json.dumps(metadata))
    torch.manual_seed(0)
    torch.save(own_network(path).state_dict(), root / "models" / "model.pt")
    return path


def own_network(path: Path) -> torch.nn.Module:
    """Build the network of a bundle from its training config, as anybody would who never heard of unlearning."""
    parser = ConfigParser()
    parser.read_config(str(path))
    network: torch.nn.Module = parser.get_parsed_content("network_def")
    return network


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def unlearn(path: Path, out: Path, *, run_id: str = "run", **settings: Any) -> ConfigWorkflow:
    """Merge the overlay after a bundle's config and run it, as ``python -m monai.bundle run`` does.

    Args:
        path: the bundle's training config.
        out: ``output_dir``.
        run_id: ``""`` initialises only.
        settings: overrides.
    """
    defaults = {"output_dir": str(out), "train#trainer#max_epochs": 1, "rank": 2, "tier": "none", "logging_file": False}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="parsing config_file", category=UserWarning)  # MONAI's, of any config
        warnings.filterwarnings("ignore", message="Can't merge entry", category=UserWarning)  # without section 'train'
        workflow: ConfigWorkflow = create_workflow(
            config_file=[str(path), str(OVERLAY)], workflow_type="train", run_id=run_id or "run", **defaults | settings
        )
    if run_id:
        workflow.run()
        workflow.finalize()
    return workflow


def _volumes(folder: Path, classes: int) -> None:
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for index in range(TRAINING + NEVER_TRAINED):
        generator = np.random.default_rng(index)
        grid = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), -1)
        label = np.zeros((24, 24, 24), np.uint8)
        for number in range(1, classes):
            label[np.linalg.norm(grid - generator.uniform(7, 17, 3), axis=-1) < 5] = number
        image = label * 60.0 + generator.normal(0, 10, label.shape)
        for part, values in (("imagesTr", image.astype(np.float32)), ("labelsTr", label)):
            nib.save(nib.Nifti1Image(values, np.eye(4)), folder / part / f"case_{index:02d}.nii.gz")


def _pictures(folder: Path) -> None:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for index in range(TRAINING + NEVER_TRAINED):
        generator = np.random.default_rng(index)
        y, x = np.mgrid[:32, :32]
        disc = np.hypot(y - generator.uniform(10, 22), x - generator.uniform(10, 22)) < 7
        image = np.where(disc[..., None], [90, 60, 50], [220, 180, 160]) + generator.normal(0, 12, (32, 32, 3))
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"case_{index:02d}.png")
        Image.fromarray(disc.astype(np.uint8)).save(folder / "masks" / f"case_{index:02d}.png")


def _listed(part: str, images: str, labels: str) -> str:
    side = f"[:{TRAINING}]" if part == "train" else f"[{TRAINING}:]"
    return f"$[{{'image': i, 'label': l}} for i, l in list(zip({images}, {labels})){side}]"


def _common(root: Path, *, network: Config, loss: Config, output: Config) -> Config:
    """Give what all of the zoo's segmentation bundles share."""
    return {
        "imports": ["$import glob", "$import os", "$import ignite"],
        "bundle_root": str(root),
        "ckpt_dir": "$@bundle_root + '/models'",
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": str(root.parent / f"{root.name}_data"),
        "val_interval": 1,
        "device": "$torch.device('cpu')",
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "loss": loss,
        "optimizer": {"_target_": "Novograd", "params": "$@network.parameters()", "lr": 0.002},
        "lr_scheduler": {"_target_": "torch.optim.lr_scheduler.StepLR", "optimizer": "@optimizer", "step_size": 5000},
        "train": {
            "preprocessing": {
                "_target_": "Compose",
                "transforms": "$@train#deterministic_transforms + @train#random_transforms",
            },
            "dataloader": {
                "_target_": "DataLoader",
                "dataset": "@train#dataset",
                "batch_size": 2,
                "shuffle": True,
                "num_workers": 0,
            },
            "inferer": {"_target_": "SimpleInferer"},
            "postprocessing": {"_target_": "Compose", "transforms": [output]},
            "handlers": [
                {"_target_": "LrScheduleHandler", "lr_scheduler": "@lr_scheduler", "print_lr": True},
                {
                    "_target_": "ValidationHandler",
                    "validator": "@validate#evaluator",
                    "epoch_level": True,
                    "interval": "@val_interval",
                },
                {
                    "_target_": "StatsHandler",
                    "tag_name": "train_loss",
                    "output_transform": "$monai.handlers.from_engine(['loss'], first=True)",
                },
                {
                    "_target_": "TensorBoardStatsHandler",
                    "log_dir": "@output_dir",
                    "tag_name": "train_loss",
                    "output_transform": "$monai.handlers.from_engine(['loss'], first=True)",
                },
            ],
            "key_metric": {
                "train_accuracy": {
                    "_target_": "ignite.metrics.Accuracy",
                    "output_transform": "$monai.handlers.from_engine(['pred', 'label'])",
                }
            },
            "trainer": {
                "_target_": "SupervisedTrainer",
                "max_epochs": 3,
                "device": "@device",
                "train_data_loader": "@train#dataloader",
                "network": "@network",
                "loss_function": "@loss",
                "optimizer": "@optimizer",
                "inferer": "@train#inferer",
                "postprocessing": "@train#postprocessing",
                "key_train_metric": "@train#key_metric",
                "train_handlers": "@train#handlers",
            },
        },
        "validate": {
            "preprocessing": {"_target_": "Compose", "transforms": "%train#deterministic_transforms"},
            "dataloader": {"_target_": "DataLoader", "dataset": "@validate#dataset", "batch_size": 1},
            "inferer": {"_target_": "SimpleInferer"},
            "postprocessing": "%train#postprocessing",
            "handlers": [
                {"_target_": "StatsHandler", "iteration_log": False},
                {"_target_": "TensorBoardStatsHandler", "log_dir": "@output_dir", "iteration_log": False},
                {
                    "_target_": "CheckpointSaver",
                    "save_dir": "@ckpt_dir",
                    "save_dict": {"model": "@network"},
                    "save_key_metric": True,
                    "key_metric_filename": "model.pt",
                },
            ],
            "key_metric": {
                "val_mean_dice": {
                    "_target_": "MeanDice",
                    "output_transform": "$monai.handlers.from_engine(['pred', 'label'])",
                }
            },
            "evaluator": {
                "_target_": "SupervisedEvaluator",
                "device": "@device",
                "val_data_loader": "@validate#dataloader",
                "network": "@network",
                "inferer": "@validate#inferer",
                "postprocessing": "@validate#postprocessing",
                "key_val_metric": "@validate#key_metric",
                "val_handlers": "@validate#handlers",
            },
        },
        "initialize": ["$monai.utils.set_determinism(seed=123)"],
        "run": ["$@train#trainer.run()"],
    }


def _volume_bundle(
    root: Path, *, classes: int, dataset: Config, network: Config, loss: Config, output: Config
) -> Config:
    config = _common(root, network=network, loss=loss, output=output)
    _volumes(Path(config["dataset_dir"]), classes)
    config["images"] = "$list(sorted(glob.glob(@dataset_dir + '/imagesTr/*.nii.gz')))"
    config["labels"] = "$list(sorted(glob.glob(@dataset_dir + '/labelsTr/*.nii.gz')))"
    keys = ["image", "label"]
    config["train"]["deterministic_transforms"] = [
        {"_target_": "LoadImaged", "keys": keys},
        {"_target_": "EnsureChannelFirstd", "keys": keys},
        {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 0, "a_max": 150, "b_min": 0, "b_max": 1},
        {"_target_": "EnsureTyped", "keys": keys},
    ]
    config["train"]["random_transforms"] = [
        {
            "_target_": "RandCropByPosNegLabeld",
            "keys": keys,
            "label_key": "label",
            "spatial_size": [16, 16, 16],
            "num_samples": 2,
        }
    ]
    for part in ("train", "validate"):
        config[part]["dataset"] = {
            **dataset,
            "data": _listed(part, "@images", "@labels"),
            "transform": f"@{part}#preprocessing",
        }
    config["validate"]["inferer"] = {
        "_target_": "SlidingWindowInferer",
        "roi_size": [16, 16, 16],
        "sw_batch_size": 4,
        "overlap": 0.25,
    }
    return config


def _to_onehot(classes: int) -> Config:
    return {
        "_target_": "AsDiscreted",
        "keys": ["pred", "label"],
        "argmax": [True, False],
        "to_onehot": classes,
    }


def _unet(root: Path) -> Config:
    return _volume_bundle(
        root,
        classes=3,
        dataset={"_target_": "CacheDataset", "num_workers": 0, "progress": False},
        network={
            "_target_": "UNet",
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 3,
            "channels": [4, 8],
            "strides": [2],
            "num_res_units": 1,
            "norm": "batch",
        },
        loss={"_target_": "DiceCELoss", "to_onehot_y": True, "softmax": True, "squared_pred": True, "batch": True},
        output=_to_onehot(3),
    )


def _segresnet(root: Path) -> Config:
    config = _volume_bundle(
        root,
        classes=2,
        dataset={"_target_": "PersistentDataset", "cache_dir": "$@bundle_root + '/cache'"},
        network={
            "_target_": "SegResNet",
            "init_filters": 4,
            "in_channels": 1,
            "out_channels": 1,
            "blocks_down": [1, 1],
            "blocks_up": [1],
            "norm": ["GROUP", {"num_groups": 2}],
        },
        loss={"_target_": "DiceLoss", "sigmoid": True, "smooth_nr": 0, "smooth_dr": 1e-5, "squared_pred": True},
        output={"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.0},
    )
    config["train"]["dataloader"]["batch_size"] = 1
    return config


def _dynunet(root: Path) -> Config:
    return _volume_bundle(
        root,
        classes=2,
        dataset={"_target_": "Dataset"},
        network={
            "_target_": "DynUNet",
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 2,
            "kernel_size": [3, 3, 3],
            "strides": [1, 2, 2],
            "upsample_kernel_size": [2, 2],
            "filters": [4, 8, 8],
        },
        loss={"_target_": "DiceCELoss", "to_onehot_y": True, "softmax": True},
        output=_to_onehot(2),
    )


def _flexible_unet(root: Path) -> Config:
    config = _common(
        root,
        network={
            "_target_": "FlexibleUNet",
            "in_channels": 3,
            "out_channels": 2,
            "backbone": "resnet10",
            "spatial_dims": 2,
            "pretrained": False,
            "decoder_channels": [16, 8, 8, 4, 4],
        },
        loss={"_target_": "DiceFocalLoss", "include_background": False, "to_onehot_y": True, "softmax": True},
        output=_to_onehot(2),
    )
    _pictures(Path(config["dataset_dir"]))
    config["images"] = "$list(sorted(glob.glob(@dataset_dir + '/images/*.png')))"
    config["labels"] = "$list(sorted(glob.glob(@dataset_dir + '/masks/*.png')))"
    keys = ["image", "label"]
    config["train"]["deterministic_transforms"] = [
        {"_target_": "LoadImaged", "keys": keys, "reader": "PILReader"},
        {"_target_": "EnsureChannelFirstd", "keys": "image", "channel_dim": -1},
        {"_target_": "EnsureChannelFirstd", "keys": "label", "channel_dim": "no_channel"},
        {"_target_": "ScaleIntensityd", "keys": "image"},
        {"_target_": "EnsureTyped", "keys": keys},
    ]
    config["train"]["random_transforms"] = [
        {"_target_": "RandRotated", "keys": keys, "range_x": 0.3, "prob": 0.5, "mode": ["bilinear", "nearest"]}
    ]
    for part in ("train", "validate"):
        config[part]["dataset"] = {
            "_target_": "Dataset",
            "data": _listed(part, "@images", "@labels"),
            "transform": f"@{part}#preprocessing",
        }
    return config


def _densenet(root: Path) -> Config:
    config = _common(
        root,
        network={"_target_": "DenseNet121", "spatial_dims": 2, "in_channels": 3, "out_channels": 2},
        loss={"_target_": "torch.nn.CrossEntropyLoss"},
        output={"_target_": "AsDiscreted", "keys": ["pred", "label"], "argmax": [True, False], "to_onehot": 2},
    )
    _pictures(Path(config["dataset_dir"]))
    config["images"] = "$list(sorted(glob.glob(@dataset_dir + '/images/*.png')))"
    config["labels"] = "$[i % 2 for i in range(len(@images))]"
    config["train"]["deterministic_transforms"] = [
        {"_target_": "LoadImaged", "keys": "image", "reader": "PILReader"},
        {"_target_": "ToTensord", "keys": "label"},
        {"_target_": "EnsureChannelFirstd", "keys": "image", "channel_dim": -1},
        {"_target_": "ScaleIntensityd", "keys": "image"},
        {"_target_": "EnsureTyped", "keys": "image"},
    ]
    config["train"]["random_transforms"] = [{"_target_": "RandFlipd", "keys": "image", "prob": 0.5, "spatial_axis": 0}]
    for part in ("train", "validate"):
        config[part]["dataset"] = {
            "_target_": "Dataset",
            "data": _listed(part, "@images", "@labels"),
            "transform": f"@{part}#preprocessing",
        }
        config[part]["key_metric"] = {
            f"{part}_accuracy": {
                "_target_": "ignite.metrics.Accuracy",
                "output_transform": "$monai.handlers.from_engine(['pred', 'label'])",
            }
        }
    return config


KINDS: dict[str, Callable[[Path], Config]] = {
    "unet": _unet,
    "segresnet": _segresnet,
    "dynunet": _dynunet,
    "flexible_unet": _flexible_unet,
    "densenet": _densenet,
}
