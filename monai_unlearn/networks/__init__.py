"""Low-rank adapters beside a trained network: inject, switch off, merge, save and load."""

from monai_unlearn.networks.adapter_files import load_adapter, save_adapter
from monai_unlearn.networks.adapters import adapter_deltas, adapters_off, has_adapters, scale_adapter
from monai_unlearn.networks.convolution import LoraConvolution
from monai_unlearn.networks.injection import LoraInjection, head_parameters, inject_lora, lora_parameters
from monai_unlearn.networks.merging import MergedWeights, merge_adapters, merged_state_dict, remove_adapters
from monai_unlearn.networks.normalisation import freeze_normalisation, normalisation_layers
from monai_unlearn.networks.probe import LayerRun, find_decoder, find_head, trace_layers
from monai_unlearn.networks.weights import load_weights

__all__ = [
    "LayerRun",
    "LoraConvolution",
    "LoraInjection",
    "MergedWeights",
    "adapter_deltas",
    "adapters_off",
    "find_decoder",
    "find_head",
    "freeze_normalisation",
    "has_adapters",
    "head_parameters",
    "inject_lora",
    "load_adapter",
    "load_weights",
    "lora_parameters",
    "merge_adapters",
    "merged_state_dict",
    "normalisation_layers",
    "remove_adapters",
    "save_adapter",
    "scale_adapter",
    "trace_layers",
]
