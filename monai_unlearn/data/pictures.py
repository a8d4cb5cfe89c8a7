"""Pictures (JPEG, PNG): reading them at the network's size, and checking them before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from monai_unlearn.data.checking import raise_first_problem
from monai_unlearn.data.datalists import Case

__all__ = ["PictureResize", "check_pictures"]


class PictureResize:
    """Converter for MONAI's ``PILReader``: fix the colour mode and the size while the file is still a Pillow image.

    Pillow averages over the covered area when it shrinks an image, which MONAI's ``Resize`` does not; the published
    procedure reads its images so, and one teacher has to serve both.

    Args:
        mode: Pillow mode: ``"RGB"`` for images, ``"L"`` for masks.
        size: side of the square result, pixels.
        interpolation: ``"bilinear"`` for images or ``"nearest"`` for masks.
    """

    def __init__(self, *, mode: str, size: int, interpolation: str) -> None:
        filters = {"bilinear": Image.Resampling.BILINEAR, "nearest": Image.Resampling.NEAREST}
        if mode not in ("RGB", "L"):
            raise ValueError(f"'mode' is 'RGB' or 'L', got {mode!r}")
        if interpolation not in filters:
            raise ValueError(f"'interpolation' is one of {', '.join(filters)}; got {interpolation!r}")
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"'size' is a positive number of pixels, got {size!r}")
        self.mode = mode
        self.size = size
        self.filter = filters[interpolation]

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the image in the mode and size that were set."""
        return image.convert(self.mode).resize((self.size, self.size), self.filter)


def check_pictures(cases: Sequence[Case], *, workers: int = 4) -> None:
    """Decode every image and mask once, so that a bad file is found before the first training step.

    Args:
        cases: items with the paths ``image`` and ``label``.
        workers: threads that decode.

    Raises:
        ValueError: for the first file, in the order of the cases, that is missing, truncated or no picture, for a mask
            of another size than its image, and for a mask without foreground.
    """
    raise_first_problem(cases, _problem_of, workers=workers)


def _problem_of(case: Case) -> str | None:
    sizes = []
    for key in ("image", "label"):
        path = Path(case[key])
        try:
            with Image.open(path) as picture:
                picture.load()
                sizes.append(picture.size)
                if key == "label" and picture.convert("L").point(lambda value: value > 127).getbbox() is None:
                    return f"the mask {path} has no foreground (no value above 127); remove the case or mend the mask"
        except FileNotFoundError:
            return f"cannot find the {key} {path}"
        except UnidentifiedImageError:
            return f"the {key} {path} is no picture that Pillow can read; replace the file"
        except (OSError, SyntaxError, ValueError) as error:
            return f"the {key} {path} is damaged ({error}); replace the file"
    if sizes[0] != sizes[1]:
        return (
            f"the mask {case['label']} has {sizes[1][0]}×{sizes[1][1]} pixels and its image {case['image']} "
            f"has {sizes[0][0]}×{sizes[0][1]}; they must cover the same frame"
        )
    return None
