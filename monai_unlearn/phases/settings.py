"""The keys that a user may override from the command line: what they may be, and a clear word where they are not."""

from __future__ import annotations

import copy
import difflib
import re
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.bundle.reference_resolver import ReferenceResolver

from monai_unlearn.engines import SCOPES
from monai_unlearn.phases.boundary import calling_parser, one_line_errors
from monai_unlearn.phases.fingerprint import references_in

__all__ = ["ERASURES", "SETTINGS", "check_settings", "check_values", "refuse_unknown_keys"]

ERASURES = ("suppress", "calibrate", "cycle")
NOTHING = ("none", "null", "false", "")


def check_settings() -> None:
    """Check and normalise the overridable keys of the config that is being evaluated; for ``initialize``.

    The strings ``none``, ``null`` and ``false`` (any spelling) that the command line delivers become ``None`` or
    ``False``.

    Raises:
        SystemExit: for a top-level key that nobody reads, with the nearest name, and for a value that a key cannot
        take.
    """
    # MONAI's LoadImage sets up every reader, also that for DICOM on a GPU, and warns whatever is to be read
    warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader", category=UserWarning)
    with one_line_errors():
        parser = calling_parser()
        normalise_settings(parser)
        parser.parse(reset=True)


def normalise_settings(parser: ConfigParser) -> None:
    """Check and normalise the settings of a parser in place; see :func:`check_settings`."""
    refuse_unknown_keys(parser)
    check_values(parser)


def refuse_unknown_keys(parser: ConfigParser, *, known: Iterable[str] = ()) -> None:
    """Raise a ``ValueError`` for a top-level key that nobody reads, an override that went astray.

    Args:
        parser: the config with all overrides.
        known: keys that are no mistake even if nobody reads them: those of a user's own files.
    """
    _refuse_the_config_dump(parser)
    known = {*SETTINGS, *OWN_KEYS, *ENTRIES, *_referred_to(parser.get()), *(key.split("#")[0] for key in known)}
    for key in BY_REFERENCE:
        if "run" in parser and key in parser and parser[key] is not None and key not in _referred_to(parser.get()):
            raise ValueError(f"this bundle has no setting '{key}'; it is one of other bundles")
    for key in parser.get():
        if key not in known:
            nearest = difflib.get_close_matches(key, SETTINGS, n=1, cutoff=0.5)
            raise ValueError(
                f"there is no setting '{key}'; "
                + (f"did you mean '{nearest[0]}'?" if nearest else f"the settings are {', '.join(SETTINGS)}.")
            )


def check_values(parser: ConfigParser) -> None:
    """Check and normalise the value of every setting that a config holds, in place; ``ValueError`` for a wrong one."""
    for key, check in {**SETTINGS, "erasure": _choice(*parser.get("erase#erasures", ERASURES))}.items():
        if key in parser and not _is_made(parser[key]):
            parser[key] = check(key, parser[key])
    if parser.get("erasure") == "cycle" and parser.get("scope") == "adapters":
        raise ValueError(
            "the erasure 'cycle' erases from all weights, and 'scope' is 'adapters', which leaves the teacher's "
            "weights as they are; add --scope weights"
        )


def _referred_to(config: dict[str, Any]) -> set[str]:
    return {ReferenceResolver.split_id(reference)[0] for reference in references_in(config)}


def _refuse_the_config_dump(parser: ConfigParser) -> None:
    """MONAI's tracking writes the config to a file, the ids of the request in the clear; it has done so by now."""
    dump = parser.get("save_execute_config")
    if not dump:
        return
    # where the name is MONAI's own choice, the key holds it by now; all else that is called so is the user's
    name = re.search(r" \+ '/(config_\d{8}_\d{6}\.json)'$", str(dump))
    if name is not None:
        folder = ConfigParser(copy.deepcopy(parser.get())).get_parsed_content("output_dir")
        Path(str(folder), name[1]).unlink(missing_ok=True)
    where = "output_dir (removed)" if name is not None else f"'{dump}'; delete it"
    raise ValueError(
        f"'--tracking' makes MONAI write the whole config, with the ids of the request, in the clear to {where}; add "
        "--save_execute_config False"
    )


def _is_made(value: Any) -> bool:
    """Tell whether a value is yet to be made, by an expression or as an object; it cannot be checked before."""
    return (isinstance(value, str) and value[:1] in ("$", "@", "%")) or (
        isinstance(value, dict) and "_target_" in value
    )


def _optional(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    def wrapped(key: str, value: Any) -> Any:
        if value is None or value is False or (isinstance(value, str) and value.strip().lower() in NOTHING):
            return None
        return check(key, value)

    return wrapped


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"'{key}' is a text, got {value!r}")
    return value


def _texts(key: str, value: Any) -> str | list[str]:
    if isinstance(value, (list, tuple)) and value:
        return [_text(key, one) for one in value]
    return _text(key, value)


def _size(key: str, value: Any) -> int | list[int]:
    if isinstance(value, (list, tuple)) and value:
        return [_integer(16)(key, side) for side in value]
    return _integer(16)(key, value)


def _request(key: str, value: Any) -> Any:
    if isinstance(value, bool) or value is None or (isinstance(value, str) and value.strip().lower() in NOTHING):
        raise ValueError(
            f"'{key}' says what to forget: a .txt, .csv, .json or .yaml file of case ids, a list of ids, or a "
            f"fraction; got {value!r}"
        )
    return value


def _integer(minimum: int, maximum: int | None = None) -> Callable[[str, Any], int]:
    def check(key: str, value: Any) -> int:
        wrong = isinstance(value, bool) or not isinstance(value, int) or value < minimum
        if wrong or (maximum is not None and value > maximum):
            span = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
            raise ValueError(f"'{key}' is a whole number {span}, got {value!r}")
        return int(value)

    return check


def _boolean(key: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else None
    if word == "true" or word in NOTHING:
        return word == "true"
    raise ValueError(f"'{key}' is true or false, got {value!r}")


def _choice(*options: str) -> Callable[[str, Any], str]:
    def check(key: str, value: Any) -> str:
        if value not in options:
            nearest = difflib.get_close_matches(str(value), options, n=1)
            hint = f"; did you mean '{nearest[0]}'?" if nearest else ""
            raise ValueError(f"'{key}' is one of {', '.join(options)}; got {value!r}{hint}")
        return str(value)

    return check


def _images(key: str, value: Any) -> str:
    return _choice("none", "retain", "all")(key, _optional(lambda _, given: given)(key, value) or "none")


def _device(key: str, value: Any) -> torch.device:
    try:
        device = torch.device(value)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"'{key}' is a torch device such as cpu or cuda:0, got {value!r}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"'{key}' is {value!r} but torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices here; "
            "use --device cpu"
        )
    return device


SETTINGS: dict[str, Callable[[str, Any], Any]] = {
    "dataset_dir": _optional(_text),
    "request": _request,
    "group_by": _optional(_text),
    "table": _optional(_text),
    "output_dir": _text,
    "teacher_checkpoint": _optional(_texts),
    "device": _device,
    "image_size": _size,
    "max_cases": _optional(_integer(4)),
    "scope": _choice(*SCOPES),
    "erasure": _choice(*ERASURES),
    "rank": _integer(1),
    "retain_per_epoch": _optional(_integer(1)),
    "seed": _integer(0),
    "resume": _boolean,
    "oracle": _optional(_text),
    "tier": _optional(_integer(0, 3)),
    "student_checkpoint": _optional(_text),
    "ledger": _optional(_text),
    "report_images": _images,
    "purge_teacher": _boolean,
    "observer": _choice("1stHO", "2ndHO", "both"),
    "activation": _optional(_choice("sigmoid", "softmax")),
}
"""Every overridable key, with the function that checks and normalises its value."""

BY_REFERENCE = ("observer", "activation", "id_from", "image_size")
"""Settings that nobody reads but the bundles that have them."""
TRACKING_KEYS = ("tracking_uri", "experiment_name", "run_name", "save_execute_config", "is_not_rank0")
"""What MONAI puts into a config that is run with ``--tracking``."""

ENTRIES = (
    *("imports", "initialize", "finalize", "_meta_", "run", "teaching", "retraining", "erasing", "restoring"),
    *(
        "auditing",
        "releasing",
        "purging",
        "train",
        "validate",
        "erase",
        "restore",
        "audit",
        "input_check",
        "classes_before",
    ),
)
"""Keys that MONAI or the phases read by name."""
OWN_KEYS = ("bundle_root", "bundle", "recipe_phase", *TRACKING_KEYS)
"""Plain values that a config may hold beside the settings."""
