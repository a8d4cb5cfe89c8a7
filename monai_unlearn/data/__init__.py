"""Requests, datalists, partition, samplers and phantoms."""

from monai_unlearn.data.case_images import CaseImages, LabelValues, example_image, example_label, task_of
from monai_unlearn.data.chase import chase_datalists, vessel_datalists
from monai_unlearn.data.datalists import Datalists, join_table, limit_cases
from monai_unlearn.data.dicom_datalists import dicom_cases, dicom_datalists
from monai_unlearn.data.dicom_header import DicomProblem
from monai_unlearn.data.dicom_index import DicomIndex, index_dicom
from monai_unlearn.data.dicom_listing import load_dicom_index, write_dicom_index
from monai_unlearn.data.dicom_masks import JoinedMasks, join_masks
from monai_unlearn.data.dicom_reader import DicomSeriesReader
from monai_unlearn.data.dicom_seg import segmentation_labels
from monai_unlearn.data.dicom_series import DicomSeries
from monai_unlearn.data.dicom_summary import summarise_index
from monai_unlearn.data.dividing import make_partition
from monai_unlearn.data.hippocampus import HIPPOCAMPUS_CLASSES, hippocampus_datalists, task04_datalists
from monai_unlearn.data.history import classes_before, forgotten_before
from monai_unlearn.data.identifiers import case_id, hash_identifier, load_or_create_salt
from monai_unlearn.data.images import check_images
from monai_unlearn.data.isic import download_isic2018, isic_datalists, lesion_datalists
from monai_unlearn.data.items import item_datalists, item_list
from monai_unlearn.data.ledger import append_event, read_ledger
from monai_unlearn.data.lesion_classes import (
    LESION_CLASSES,
    ClassDatalists,
    class_of,
    lesion_class_datalists,
    list_lesion_classes,
)
from monai_unlearn.data.lookalikes import RandColourTransferd, colour_statistics
from monai_unlearn.data.partition import SUBSETS, Partition
from monai_unlearn.data.phantom import write_lesion_phantoms
from monai_unlearn.data.phantom_classes import write_class_phantoms
from monai_unlearn.data.phantom_vessels import write_vessel_phantoms
from monai_unlearn.data.phantom_volumes import write_volume_phantoms
from monai_unlearn.data.pictures import PictureResize, check_pictures
from monai_unlearn.data.readable import check_readable
from monai_unlearn.data.redaction import redact
from monai_unlearn.data.request import Criterion, Request, load_request
from monai_unlearn.data.sampler import ForgetRetainSampler
from monai_unlearn.data.tagged import TaggedDataset
from monai_unlearn.data.volumes import check_volumes, volume_label_values
from monai_unlearn.data.where import Where

__all__ = [
    "HIPPOCAMPUS_CLASSES",
    "LESION_CLASSES",
    "SUBSETS",
    "CaseImages",
    "ClassDatalists",
    "Criterion",
    "Datalists",
    "DicomIndex",
    "DicomProblem",
    "DicomSeries",
    "DicomSeriesReader",
    "ForgetRetainSampler",
    "JoinedMasks",
    "LabelValues",
    "Partition",
    "PictureResize",
    "RandColourTransferd",
    "Request",
    "TaggedDataset",
    "Where",
    "append_event",
    "case_id",
    "chase_datalists",
    "check_images",
    "check_pictures",
    "check_readable",
    "check_volumes",
    "class_of",
    "classes_before",
    "colour_statistics",
    "dicom_cases",
    "dicom_datalists",
    "download_isic2018",
    "example_image",
    "example_label",
    "forgotten_before",
    "hash_identifier",
    "hippocampus_datalists",
    "index_dicom",
    "isic_datalists",
    "item_datalists",
    "item_list",
    "join_masks",
    "join_table",
    "lesion_class_datalists",
    "lesion_datalists",
    "limit_cases",
    "list_lesion_classes",
    "load_dicom_index",
    "load_or_create_salt",
    "load_request",
    "make_partition",
    "read_ledger",
    "redact",
    "segmentation_labels",
    "summarise_index",
    "task04_datalists",
    "task_of",
    "vessel_datalists",
    "volume_label_values",
    "write_class_phantoms",
    "write_dicom_index",
    "write_lesion_phantoms",
    "write_vessel_phantoms",
    "write_volume_phantoms",
]
