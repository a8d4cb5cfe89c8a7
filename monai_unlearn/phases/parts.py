"""The parts of a bundle, wherever they stand in its config: looked up from its trainer and its evaluator."""

from __future__ import annotations

import copy
from typing import Any

from monai.bundle import ConfigParser

from monai_unlearn.phases.outputs import components_in, target_name

__all__ = ["complete_sections"]

SIMPLE = {"_target_": "monai.inferers.SimpleInferer"}


def complete_sections(parser: ConfigParser) -> None:
    """Write trainer, loaders, datasets and inferers of a bundle under ``train`` and ``validate``, in place.

    Bundles of the model zoo have them there. MONAI's templates have them at the top level, and some configs have a
    reference in their place. The trainer says which its loader is, and the loader its dataset; so does the evaluator.
    What stands under ``train`` or ``validate`` already is kept, a plain reference is followed. What cannot be found
    stays missing.

    Args:
        parser: the config; ``%`` macros are resolved already.
    """
    for section, kind, loader in (
        ("train", "SupervisedTrainer", "train_data_loader"),
        ("validate", "SupervisedEvaluator", "val_data_loader"),
    ):
        engine_name = "trainer" if section == "train" else "evaluator"
        parts = parser.get(section)
        parts = parts if isinstance(parts, dict) else {}
        engine = _followed(parser, parts.get(engine_name))
        if not isinstance(engine, dict) or "_target_" not in engine:
            engine = {**_only(parser, kind), **(engine if isinstance(engine, dict) else {})} or engine
        found = {engine_name: engine, "dataloader": _component(parser, parts.get("dataloader"))}
        if isinstance(engine, dict):
            found["dataloader"] = found["dataloader"] or _component(parser, engine.get(loader))
            found["inferer"] = parts.get("inferer") or _component(parser, engine.get("inferer", SIMPLE))
        of_loader = found["dataloader"].get("dataset") if isinstance(found["dataloader"], dict) else None
        found["dataset"] = _component(parser, parts.get("dataset")) or _component(parser, of_loader)
        parser[section] = {**parts, **{key: copy.deepcopy(value) for key, value in found.items() if value is not None}}
        _link(parser[section], section, engine_name, loader)


def _link(parts: dict[str, Any], section: str, engine_name: str, loader: str) -> None:
    """Let engine and loader refer to what stands in the section, so that who changes it there changes it for them."""
    if isinstance(parts.get("dataset"), dict) and isinstance(parts.get("dataloader"), dict):
        parts["dataloader"]["dataset"] = f"@{section}#dataset"
        if isinstance(parts.get(engine_name), dict):
            parts[engine_name][loader] = f"@{section}#dataloader"


def _only(parser: ConfigParser, kind: str) -> dict[str, Any]:
    """Return the one component of a kind; nothing where there are several or none."""
    found = [one for one in components_in(parser.get()) if target_name(one) == kind]
    return found[0] if len(found) == 1 else {}


def _component(parser: ConfigParser, value: Any) -> Any:
    """Follow a reference; one that leads nowhere counts as nothing, other text is kept as it is."""
    followed = _followed(parser, value)
    return None if isinstance(followed, str) and followed.startswith("@") else followed


def _followed(parser: ConfigParser, value: Any) -> Any:
    for _ in range(8):  # a reference may lead to another one; one in a circle leads nowhere
        if not (isinstance(value, str) and value.startswith("@")) or parser.get(value[1:]) is None:
            break
        value = parser[value[1:]]
    return value
