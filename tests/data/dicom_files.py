"""Tiny DICOM series and segmentations, written by pydicom and highdicom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
ROWS, COLUMNS = 6, 5


def uid(name: str) -> str:
    """Make a UID that is the same in every run."""
    return str(generate_uid(entropy_srcs=[name]))


def normal_of(orientation: Sequence[float]) -> np.ndarray:
    return np.cross(orientation[:3], orientation[3:])


def slice_dataset(*, series: str = "A", number: int = 0, **values: Any) -> Dataset:
    """Make one CT slice, 2 mm from the last along the normal; ``values`` are DICOM keywords (None: left out)."""
    orientation = values.get("ImageOrientationPatient") or AXIAL
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    defaults = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": uid(f"{series} {number}"),
        "SeriesInstanceUID": uid(f"series {series}"),
        "StudyInstanceUID": uid("study"),
        "FrameOfReferenceUID": uid("frame"),
        "PatientID": "P-001",
        "PatientName": "Muster^Erika",
        "PatientBirthDate": "19700131",
        "PatientSex": "F",
        "StudyID": "1",
        "StudyDate": "20200101",
        "StudyTime": "120000",
        "AccessionNumber": "77",
        "ReferringPhysicianName": "",
        "Manufacturer": "none",
        "Modality": "CT",
        "SeriesDescription": f"series {series}",
        "SeriesNumber": 1,
        "InstanceNumber": number + 1,
        "Rows": ROWS,
        "Columns": COLUMNS,
        "PixelSpacing": [0.8, 0.5],
        "SliceThickness": 2.0,
        "ImageOrientationPatient": list(orientation),
        "ImagePositionPatient": (np.array([-10.0, 5.0, 30.0]) + 2.0 * number * normal_of(orientation)).tolist(),
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "RescaleSlope": 2.0,
        "RescaleIntercept": -100.0,
    }
    for keyword, value in {**defaults, **values}.items():
        if value is not None:
            setattr(dataset, keyword, value)
    generator = np.random.default_rng(number)
    pixels = generator.integers(0, 1000, (dataset.Rows, dataset.Columns), dtype=np.uint16)
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def write_slice(path: Path, **values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    slice_dataset(**values).save_as(path, enforce_file_format=True)
    return path


def write_series(folder: Path, *, series: str = "A", numbers: Sequence[int] = range(4), **values: Any) -> list[Path]:
    """Write slices; their file names have no suffix and another order than their positions."""
    return [
        write_slice(folder / f"{series}{(7 * number) % 10}{number}", series=series, number=number, **values)
        for number in numbers
    ]


def write_segmentation(
    path: Path, images: Sequence[Dataset], masks: np.ndarray, names: Sequence[str], **more: Any
) -> None:
    """Write a DICOM SEG object with highdicom.

    Args:
        path: where to.
        images: the slices.
        masks: shape ``(slices, rows, columns, segments)``.
        names: SegmentLabels.
        more: arguments of highdicom's ``Segmentation``.
    """
    import highdicom
    from pydicom.sr.codedict import codes

    descriptions = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.Organ,
            segmented_property_type=codes.SCT.Liver,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, name in enumerate(names, start=1)
    ]
    kind = more.pop("kind", highdicom.seg.SegmentationTypeValues.BINARY)
    segmentation = highdicom.seg.Segmentation(
        source_images=list(images),
        pixel_array=masks,
        segmentation_type=kind,
        segment_descriptions=descriptions,
        series_instance_uid=uid(f"seg {path.name}"),
        series_number=9,
        sop_instance_uid=uid(f"seg instance {path.name}"),
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="0",
        device_serial_number="0",
        **more,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    segmentation.save_as(path)
