"""Commands beside ``monai.bundle``: ``python -m monai_unlearn COMMAND``."""

from __future__ import annotations

import fire

from monai_unlearn.data import download_isic2018
from monai_unlearn.data.isic import ISIC2018_URL
from monai_unlearn.phases.boundary import one_line_errors


def download_set(name: str, folder: str, url: str = ISIC2018_URL) -> None:
    """Download a public set into a folder that the bundles take as ``dataset_dir``.

    Args:
        name: the set; ``isic2018`` (Task 1, 11 GB).
        folder: where to.
        url: where from, for mirrors.
    """
    with one_line_errors():
        if name != "isic2018":
            raise ValueError(f"there is no download for the set {name!r}; there is one for: isic2018")
        print(download_isic2018(folder, url=url))


if __name__ == "__main__":
    fire.Fire({"download": download_set}, name="python -m monai_unlearn")
