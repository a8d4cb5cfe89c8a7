"""What can be planted in the training of a reference network, so that forgetting can be checked exactly."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from monai.transforms import Transform

__all__ = ["PlantedPreprocessing", "Planting"]


@dataclass(frozen=True, kw_only=True)
class Planting:
    """Noise on some training cases (canaries), a trigger with a wrong label on others (a backdoor).

    For reference trainings of one's own only: a network that is trained with it is not one to use. Which case gets what
    is decided by ``salt`` and the case's id, so that training, erasing and audit agree without anything written down.

    Args:
        cases: ids of the training cases that something is planted in: the forget cases.
        intensity_range: lowest and highest intensity after preprocessing.
        salt: any text; another one plants otherwise.
        strength: standard deviation of the noise, as a share of the intensity range.
        backdoor_share: share of ``cases`` that get the trigger; the others are canaries.
        patch: side of the trigger, as a share of each side of the image.
        target: class that the trigger is made to stand for; 1 for a single logit.

    Raises:
        ValueError: for a range, strength or share that cannot be.
    """

    cases: Collection[str]
    intensity_range: tuple[float, float]
    salt: str
    strength: float = 0.1
    backdoor_share: float = 0.5
    patch: float = 0.125
    target: int = 1

    def __post_init__(self) -> None:
        if self.intensity_range is None or not self.intensity_range[0] < self.intensity_range[1]:
            raise ValueError(
                f"planting needs the intensity range of the images, lowest first; got {self.intensity_range}; give it "
                "as 'audit#intensity_range'"
            )
        if not (self.strength > 0 and 0 <= self.backdoor_share <= 1 and 0 < self.patch <= 0.5):
            raise ValueError(
                "planting takes a strength above 0, a backdoor share in [0, 1] and a patch in (0, 0.5]; got "
                f"{self.strength}, {self.backdoor_share} and {self.patch}"
            )

    @property
    def epsilon(self) -> float:
        """Standard deviation of the noise, in intensities after preprocessing."""
        return self.strength * (self.intensity_range[1] - self.intensity_range[0])

    @cached_property
    def backdoors(self) -> frozenset[str]:
        """Ids of the cases with the trigger."""
        ranked = sorted(self.cases, key=self._key)
        return frozenset(ranked[: round(self.backdoor_share * len(ranked))])

    @cached_property
    def canaries(self) -> frozenset[str]:
        """Ids of the cases with noise."""
        return frozenset(self.cases) - self.backdoors

    def noise(self, case: str, shape: torch.Size) -> torch.Tensor:
        """Return what is added to the image of a canary: independent normal values, the same for id, salt and shape."""
        generator = torch.Generator().manual_seed(int.from_bytes(self._key(case)[:7], "big"))
        return self.epsilon * torch.randn(shape, generator=generator)

    def region(self, spatial: torch.Size) -> Any:
        """Return where the trigger lies, near the corner of the lowest indices, to index any tensor by."""
        sides = [max(2, round(self.patch * side)) for side in spatial]
        return (..., *(slice(side // 2, side // 2 + side) for side in sides))

    def stamp(self, image: torch.Tensor) -> torch.Tensor:
        """Return an image with the trigger, a checkerboard of the extreme intensities; shape ``(C, *spatial)``."""
        stamped, region = image.clone(), self.region(image.shape[1:])
        grid = torch.meshgrid(*(torch.arange(part.stop - part.start) for part in region[1:]), indexing="ij")
        even = torch.stack(grid).sum(dim=0) % 2 == 0
        low, high = self.intensity_range
        stamped[region] = torch.where(even, high, low).to(image)
        return stamped

    def mislead(self, label: Any) -> Any:
        """Return the label of a case with the trigger: the target class, on the trigger and nowhere else.

        Raises:
            ValueError: for a label map of several channels.
        """
        if not isinstance(label, torch.Tensor) or label.ndim < 2:
            return torch.full_like(label, self.target) if isinstance(label, torch.Tensor) else type(label)(self.target)
        if len(label) != 1:
            raise ValueError(
                f"a backdoor needs a label map of one channel or a class index; this label has {len(label)} channels: "
                "set 'planting#backdoor_share' to 0"
            )
        wrong = torch.zeros_like(label)
        wrong[self.region(label.shape[1:])] = self.target
        return wrong

    def __call__(self, case: str, item: Mapping[str, Any]) -> dict[str, Any]:
        """Plant in a preprocessed case what it is to have; other cases pass as they are."""
        image = torch.as_tensor(item["image"])
        if case in self.canaries:
            return {**item, "image": image + self.noise(case, image.shape).to(image)}
        if case in self.backdoors:
            return {**item, "image": self.stamp(image), "label": self.mislead(item["label"])}
        return dict(item)

    def _key(self, case: str) -> bytes:
        return hmac.new(self.salt.encode(), case.encode(), hashlib.sha256).digest()


class PlantedPreprocessing(Transform):
    """Preprocess a case, then plant in it what it is to have: in the place of a bundle's ``cases#transform``.

    Args:
        transform: the bundle's preprocessing, without random transforms.
        planting: what is planted.
    """

    def __init__(self, *, transform: Callable[[Any], Any], planting: Planting) -> None:
        self.transform = transform
        self.planting = planting

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the preprocessed case with what is planted.

        Raises:
            ValueError: if the case has no id.
        """
        if "id" not in data:
            raise ValueError(f"planting goes by the 'id' of a case, and this one has only {sorted(data)}")
        return self.planting(str(data["id"]), self.transform(data))
