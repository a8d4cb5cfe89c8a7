"""Reading one DICOM series with MONAI, however its files are named, numbered and mixed with others."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from monai.data import PydicomReader

from monai_unlearn.data.dicom_header import header_of
from monai_unlearn.data.dicom_series import DicomSeries

__all__ = ["DicomSeriesReader"]


class DicomSeriesReader(PydicomReader):
    """A ``PydicomReader`` to which a list of files is one series: ``LoadImaged(reader=…)``.

    MONAI's own reader takes a list of files for channels and refuses it, and puts the slices of a folder in the order
    of their InstanceNumber, whatever their positions. This one takes a list, a folder or a file, puts the slices in the
    order of their positions, and refuses a series with a missing slice or a mixture of sizes, spacings or orientations.
    What MONAI's reader reads right, it reads just the same, voxels and affine.

    Threads may share one reader, as those of ``CacheDataset`` do.
    """

    def read(self, data: Sequence[str | Path] | str | Path, **kwargs: Any) -> list[pydicom.Dataset]:
        """Read all files of a series; they are put in order by :meth:`get_data`.

        Args:
            data: the files, or the folder that holds them and nothing else (but for names that start with a dot).
            kwargs: arguments of ``pydicom.dcmread``.
        """
        paths = [Path(name) for name in ([data] if isinstance(data, (str, Path)) else data)]
        if len(paths) == 1 and paths[0].is_dir():
            paths = sorted(path for path in paths[0].iterdir() if not path.name.startswith("."))
        return [pydicom.dcmread(path, **{**self.kwargs, **kwargs}) for path in paths]

    def get_data(self, data: Sequence[pydicom.Dataset]) -> tuple[np.ndarray, dict[str, Any]]:
        """Stack the slices.

        Returns:
            The voxels, ``(columns, rows, slices)``, two-dimensional for a single slice; and MONAI's metadata.

        Raises:
            ValueError: if the files form no volume; the message names the series and what is wrong where.
        """
        # here, not in `read`: LoadImage would catch the error there and try its next reader, which would not mind
        datasets = {Path(dataset.filename): dataset for dataset in data}
        mixed = {str(dataset.get("SeriesInstanceUID")) for dataset in data}
        if len(mixed) != 1:
            raise ValueError(
                f"{next(iter(datasets)).parent}: the files belong to {len(mixed)} series; load one at a time"
            )
        series = DicomSeries(files=tuple(header_of(dataset, path) for path, dataset in datasets.items()))
        paths = [header.path for header in series.require_volume().slices]
        for number, path in enumerate(paths):
            datasets[path].InstanceNumber = number  # the order in which MONAI stacks
        reader = copy.copy(self)  # MONAI's reader keeps what it has read last, which another thread may change
        reader.has_series = len(paths) > 1
        reader.filenames = [[str(path) for path in paths]] if reader.has_series else [str(paths[0])]
        result: tuple[np.ndarray, dict[str, Any]] = PydicomReader.get_data(reader, [datasets[path] for path in paths])
        return result
