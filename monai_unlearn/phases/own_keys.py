"""Keys that a bundle and the overlay both have, each with a meaning of its own."""

from __future__ import annotations

import re
from typing import Any

from monai.bundle import ConfigParser

from monai_unlearn.phases.boundary import ConfigFiles

__all__ = ["keep_own_keys"]

SHARED = ("imports", "initialize", "run", "train", "validate", "output_dir")
"""Keys that mean the same in both."""


def keep_own_keys(parser: ConfigParser, files: ConfigFiles) -> None:
    """Give a bundle's own keys that the overlay has, too, another name, in place: ``rank`` becomes ``bundle_rank``.

    Without it a bundle whose ``rank`` is the number of a process would get the rank of the adapters for it.

    Args:
        parser: the config, the overlay merged into it.
        files: what stands in the files of the bundle and of the overlay.
    """
    overlaid = {key.lstrip("+").split("#")[0] for key in files.overlay}
    both = sorted(overlaid.intersection(files.bundle).difference(SHARED))
    if not both:
        return
    pattern = re.compile(rf"(?<=@)(?:{'|'.join(map(re.escape, both))})(?!\w)")
    for key in both:
        parser[f"bundle_{key}"] = files.bundle[key]
    for key in (*(name for name in parser.get() if name not in overlaid), "train", "validate"):
        if key in parser:
            parser[key] = _renamed(parser[key], pattern)


def _renamed(config: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(config, dict):
        return {key: _renamed(value, pattern) for key, value in config.items()}
    if isinstance(config, list):
        return [_renamed(value, pattern) for value in config]
    return pattern.sub(lambda found: f"bundle_{found.group()}", config) if isinstance(config, str) else config
