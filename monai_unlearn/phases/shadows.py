"""Shadow models for tier 2 of the audit: the run's own recipe, on a small surrogate, over and over again."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigParser

from monai_unlearn.audit import ShadowAttack, ShadowModels, ShadowPair, plain_copy
from monai_unlearn.data import Partition
from monai_unlearn.networks import load_weights
from monai_unlearn.phases.erase import erase, load_student, restore
from monai_unlearn.phases.fingerprint import without_trackers
from monai_unlearn.phases.session import Session
from monai_unlearn.phases.teach import retrain_oracle, train_teacher

__all__ = ["check_shadows", "draw_halves", "halved", "has_shadows", "train_shadows"]

logger = logging.getLogger(__name__)

FEWEST_PAIRS = 4
PHASES = ("teaching", "retraining", "erasing", "restoring")


def halved(size: int | Sequence[int], *, multiple: int = 16) -> int | list[int]:
    """Halve an image size, down to a multiple that networks with four downsamplings take; at least that multiple."""
    if isinstance(size, int):
        return max(multiple, size // 2 // multiple * multiple)
    return [max(multiple, side // 2 // multiple * multiple) for side in size]


def has_shadows(session: Session) -> bool:
    """Tell whether a test of the audit asks for shadow models."""
    return _asks(session.build("audit#tests"))


def _asks(tests: dict[str, Any]) -> bool:
    return any(isinstance(test, ShadowAttack) for test in tests.values())


def check_shadows(session: Session, tests: dict[str, Any]) -> None:
    """Refuse an attack with shadow models that cannot be trained, before anything is.

    Raises:
        ValueError: if the config does not say how, or under the overlay.
    """
    if not _asks(tests):
        return
    if "teacher_recipe" in session.parser or session.parser.get("audit#shadow") is None:
        raise ValueError(
            "tier 2 trains shadow models by the bundle's own recipe, and this config does not say how ('audit#shadow', "
            "see docs/audit_shadow.md; the overlay has none); take tier 0 or 1, or name the tests in 'audit#tests#only'"
        )
    pairs = session.build("audit#shadow#pairs")
    if not isinstance(pairs, int) or pairs < FEWEST_PAIRS or pairs % 2:
        raise ValueError(f"'audit#shadow#pairs' is an even number from {FEWEST_PAIRS}, got {pairs!r}")
    _overrides(session)
    groups = len(_groups(session.partition.retain, session.setting("group_by")))
    if groups < 2:
        raise ValueError(
            "shadow models are trained on halves of the retain cases, whole groups each, and there "
            + ("is one group" if groups else "is none")
            + "; give more cases, another 'group_by', or take tier 0 or 1"
        )


def train_shadows(session: Session) -> ShadowModels:
    """Train the shadow models that are missing, one after the other, and return all of them.

    Each pair is a run of its own below ``shadows/`` in the output folder: the same config with what
    ``audit#shadow#overrides`` lays over it, a partition whose retain cases are a random half (pairs 0 and 1 take the
    two halves of one draw, and so on, so that every retain case is in half of the pairs), and a seed of its own. Its
    run ids ``teaching``, ``retraining``, ``erasing`` and ``restoring`` give the networks that were taught, that never
    saw the forget cases, and that unlearned. Their fingerprints tell what stands, so that a killed run goes on.
    """
    pairs: list[ShadowPair] = []
    seconds: list[float] = []
    count = session.build("audit#shadow#pairs")
    drawn = draw_halves(
        session.partition.retain, count, group_by=session.setting("group_by"), seed=session.setting("seed")
    )
    for number, ids in enumerate(drawn):
        logger.info(f"shadow models: pair {number + 1} of {count}")
        child = Session(_surrogate(session, number, _part(session.partition, ids)))
        train_teacher(child)
        retrain_oracle(child)
        erase(child)
        restore(child)
        pairs.append(_load(child, ids))
        seconds.append(sum(float(child.folder.result(phase)["seconds"]) for phase in PHASES))
    whole = _surrogate(session, 0, session.partition)
    dataset = whole.get_parsed_content("audit#dataset")
    return ShadowModels(
        pairs=pairs,
        dataset=dataset,
        ids=dataset.ids,
        batch_size=whole.get_parsed_content("audit#batch_size"),
        inferer=whole.get_parsed_content("audit#inferer"),
        surrogate=_in_words(session, len(drawn[0])),
        seconds_per_pair=float(np.mean(seconds)),
    )


def draw_halves(
    cases: Sequence[dict[str, Any]], count: int, *, group_by: str | None, seed: int
) -> list[frozenset[str]]:
    """Draw halves of some cases, whole groups each; every second one is what the one before it left.

    Args:
        cases: the cases.
        count: how many halves, an even number.
        group_by: column that names the group; a case without one is a group of its own.
        seed: of the draw.
    """
    groups = _groups(cases, group_by)
    generator = np.random.default_rng(seed)
    halves: list[frozenset[str]] = []
    for _ in range(count // 2):
        pair: tuple[list[str], list[str]] = ([], [])
        for index in generator.permutation(len(groups)):
            min(pair, key=len).extend(groups[index])
        halves.extend(frozenset(half) for half in pair)
    return halves


def _groups(cases: Sequence[dict[str, Any]], group_by: str | None) -> list[list[str]]:
    """Put together the ids of each group; a case without one is a group of its own."""
    members: dict[Any, list[str]] = {}
    for case in cases:
        group = str(case.get(group_by) or "").strip() if group_by else ""
        members.setdefault((bool(group), group or case["id"]), []).append(case["id"])
    return list(members.values())


def _part(partition: Partition, drawn: frozenset[str]) -> Partition:
    kept = drawn | partition.forget_ids
    training = tuple(case for case in partition.training if case["id"] in kept)
    return replace(partition, training=training, forgotten_before=frozenset())


def _surrogate(session: Session, number: int, partition: Partition) -> ConfigParser:
    """Lay the surrogate over the config: a network in ``network_def`` replaces it wherever the config has it."""
    # without trackers: hundreds of losses of networks that nobody asked about would go into the run's own store
    config = without_trackers(copy.deepcopy(session.parser.get()))
    overrides = _overrides(session)
    ours = ConfigParser({"network_def": copy.deepcopy(config["network_def"])})
    for key in [key for key in overrides if key.split("#")[0] == "network_def"]:
        ours[key] = overrides.pop(key)
    parser = ConfigParser(_replaced(config, config["network_def"], ours["network_def"]))
    for key, value in {
        **overrides,
        "partition": partition,
        "datalists": session.build("datalists"),
        "input_check": _checked_already,
        "output_dir": str(session.folder / f"shadows/pair_{number}"),
        "seed": 1000 * (number + 1) + session.setting("seed"),
        **dict.fromkeys(("teacher_checkpoint", "student_checkpoint", "oracle", "tier", "ledger")),
    }.items():
        parser[key] = value
    return parser


def _overrides(session: Session) -> dict[str, Any]:
    """Read the overrides: expressions are those of the run's own config, all else is laid over it as it is written."""
    raw = dict(session.parser.get("audit#shadow#overrides") or {})
    computed = [key for key, value in raw.items() if isinstance(value, str) and value[:1] in ("$", "@")]
    # names of their own: a '#' in a key is one of the config's levels to the parser
    values = {f"value_{number}": raw[key] for number, key in enumerate(computed)}
    scratch = ConfigParser({**copy.deepcopy(session.parser.get()), "shadow_values": values})
    for key, name in zip(computed, values, strict=True):
        try:
            raw[key] = scratch.get_parsed_content(f"shadow_values#{name}")
        except Exception as error:  # whatever an expression may raise
            raise ValueError(
                f"'audit#shadow#overrides' cannot work out {key!r} for this network: {raw[key]}; give the surrogate a "
                "value that fits"
            ) from error
    return raw


def _replaced(config: Any, old: Any, new: Any) -> Any:
    if config == old:
        return copy.deepcopy(new)
    if isinstance(config, dict):
        return {key: _replaced(value, old, new) for key, value in config.items()}
    return [_replaced(value, old, new) for value in config] if isinstance(config, list) else config


def _load(child: Session, drawn: frozenset[str]) -> ShadowPair:
    def network(path: Path) -> Any:
        return load_weights(child.build("audit#network"), path).to(child.setting("device"))

    unlearned = plain_copy(load_student(child, "state/restored"))
    taught = copy.deepcopy(network(child.folder / "teacher/model.pt"))
    untrained = network(child.folder / "oracle/model.pt")
    return ShadowPair(drawn=drawn, taught=taught, unlearned=unlearned, untrained=untrained)


def _in_words(session: Session, drawn: int) -> str:
    changes = ", ".join(f"{key.replace('#', ' ')} {value}" for key, value in _overrides(session).items())
    return f"{changes or 'the task itself'}, {len(session.partition.forget)} forget and {drawn} retain cases each"


def _checked_already(cases: Sequence[dict[str, Any]]) -> None:
    """Pass: the run that the shadow models belong to has checked every case."""
