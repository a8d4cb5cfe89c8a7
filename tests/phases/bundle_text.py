"""The text of a small bundle that has all that the overlay needs."""

from __future__ import annotations

from typing import Any

BUNDLE: dict[str, Any] = {
    "bundle_root": ".",
    "network_def": {"_target_": "UNet"},
    "loss": {"_target_": "DiceLoss"},
    "flips": [{"_target_": "RandFlipd"}, {"_target_": "RandAxisFlipd"}],
    "train": {
        "transforms": {"_target_": "Compose", "transforms": "$[monai.transforms.Identityd('image')] + @flips"},
        "dataset": {"_target_": "CacheDataset", "data": [], "transform": "@train#transforms"},
        "dataloader": {"_target_": "DataLoader", "batch_size": 2},
        "inferer": {"_target_": "SimpleInferer"},
        "handlers": [{"_target_": "StatsHandler"}, {"_target_": "ValidationHandler"}],
        "trainer": {
            "_target_": "SupervisedTrainer",
            "max_epochs": 5,
            "loss_function": "@loss",
            "train_handlers": "@train#handlers",
        },
    },
    "validate": {
        "dataset": {"_target_": "Dataset", "data": [], "transform": None},
        "inferer": {"_target_": "SlidingWindowInferer"},
        "evaluator": {"_target_": "SupervisedEvaluator"},
    },
}
