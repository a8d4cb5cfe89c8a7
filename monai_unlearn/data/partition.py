"""The partition: forget, retain, reference and unseen cases, whole groups each."""

from __future__ import annotations

from dataclasses import dataclass

from monai_unlearn.data.datalists import Case
from monai_unlearn.data.request import Request

__all__ = ["SUBSETS", "Partition"]

SUBSETS = ("forget", "retain", "reference", "unseen")


@dataclass(frozen=True, kw_only=True)
class Partition:
    """The cases of a project by what is to become of them; each case carries its ``id``.

    Args:
        name: name of the set.
        synthetic: whether the images are phantoms.
        training: what the teacher was trained on, in the order of the datalist: ``forget``, ``retain`` and ``held``.
        forget_ids: ids of the cases to forget.
        reference: never-trained cases that steer (targets, stopping, guards).
        unseen: never-trained cases for the audit alone.
        excluded: number of never-trained cases left out because their group was trained on or the request means them.
        random: whether the request was a random draw.
        request: what was asked.
        classes: label values to unlearn; empty where cases are to be forgotten. ``forget_ids`` are the training cases
            that have one of them then.
        forgotten_before: ids of training cases that an earlier request had forgotten; neither forget nor retain.
        spent: ids of never-trained cases that the request means; they are among those excluded, here and, by the
            ledger, in later requests.
        forgotten_again: how many of these the request hits, too, without naming them by id.
        named: number of cases that the request means by itself, before whole groups go; 0 for a random draw or classes.
        never_trained_named: how many of these were never trained on, so that there was nothing to forget.
        undecided: number of training cases that lack a value that the request's ``where`` asks for; they stay.
        divided: number of groups of which only some images are forgotten.
        identifiers: everything in the whole set that names a case or group; no written file may hold it in the clear.
        split_drawn: whether the never-trained cases were set aside by a random draw, not by the set itself.
    """

    name: str
    synthetic: bool
    training: tuple[Case, ...]
    forget_ids: frozenset[str]
    reference: tuple[Case, ...]
    unseen: tuple[Case, ...]
    excluded: int
    random: bool
    request: Request
    classes: tuple[int, ...] = ()
    forgotten_before: frozenset[str] = frozenset()
    spent: frozenset[str] = frozenset()
    forgotten_again: int = 0
    named: int = 0
    never_trained_named: int = 0
    undecided: int = 0
    divided: int = 0
    split_drawn: bool = False
    identifiers: frozenset[str] = frozenset()

    @property
    def forget(self) -> tuple[Case, ...]:
        """Training cases to forget."""
        return tuple(case for case in self.training if case["id"] in self.forget_ids)

    @property
    def retain(self) -> tuple[Case, ...]:
        """Training cases to keep."""
        others = self.forget_ids | self.forgotten_before
        return tuple(case for case in self.training if case["id"] not in others)

    @property
    def held(self) -> tuple[Case, ...]:
        """Training cases that an earlier request had forgotten: nothing is learned from them any more."""
        return tuple(case for case in self.training if case["id"] in self.forgotten_before - self.forget_ids)

    @property
    def never_trained(self) -> tuple[Case, ...]:
        """Reference and unseen cases, in this order."""
        return self.reference + self.unseen

    def subset(self, name: str) -> tuple[Case, ...]:
        """Return the cases of one of ``SUBSETS``."""
        if name not in SUBSETS:
            raise ValueError(f"a subset is one of {', '.join(SUBSETS)}; got {name!r}")
        cases: tuple[Case, ...] = getattr(self, name)
        return cases

    def counts(self) -> dict[str, int]:
        """Count the cases of every subset, those excluded, and those forgotten before where there are any."""
        counts = {**{name: len(self.subset(name)) for name in SUBSETS}, "excluded": self.excluded}
        return {**counts, "forgotten_before": len(self.forgotten_before)} if self.forgotten_before else counts
