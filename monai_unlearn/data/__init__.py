"""Requests, datalists, partition, samplers and phantoms."""

from monai_unlearn.data.datalists import Datalists, join_table, limit_cases
from monai_unlearn.data.identifiers import case_id, hash_identifier, load_or_create_salt
from monai_unlearn.data.isic import download_isic2018, isic_datalists, lesion_datalists
from monai_unlearn.data.partition import SUBSETS, Partition, make_partition
from monai_unlearn.data.phantom import write_lesion_phantoms
from monai_unlearn.data.pictures import PictureResize, check_pictures
from monai_unlearn.data.request import Request, load_request
from monai_unlearn.data.sampler import ForgetRetainSampler
from monai_unlearn.data.tagged import TaggedDataset

__all__ = [
    "SUBSETS",
    "Datalists",
    "ForgetRetainSampler",
    "Partition",
    "PictureResize",
    "Request",
    "TaggedDataset",
    "case_id",
    "check_pictures",
    "download_isic2018",
    "hash_identifier",
    "isic_datalists",
    "join_table",
    "lesion_datalists",
    "limit_cases",
    "load_or_create_salt",
    "load_request",
    "make_partition",
    "write_lesion_phantoms",
]
