"""The networks of the table: tiny, with random weights and running statistics as a trained network has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from monai.networks.nets import (
    UNETR,
    AttentionUnet,
    BasicUNet,
    DenseNet121,
    DiffusionModelUNet,
    DynUNet,
    FlexibleUNet,
    ResNet,
    SegResNet,
    SwinUNETR,
    UNet,
    ViT,
)
from monai.networks.nets.resnet import ResNetBlock
from torch import nn

from monai_unlearn.networks import normalisation_layers


@dataclass(frozen=True)
class Case:
    """A network, the shape of its image, and how TorchScript takes the plain network."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    torchscript: str
    timesteps: bool = False

    def inputs(self) -> tuple[torch.Tensor, ...]:
        image = torch.randn(2, *self.shape)
        return (image, torch.tensor([3, 7])) if self.timesteps else (image,)

    def network(self) -> nn.Module:
        network = self.build()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))  # MONAI starts some layers at zero
            layers = [layer for _, layer in normalisation_layers(network)]
            momenta = [layer.momentum for layer in layers]
            for layer in layers:
                layer.momentum = 1.0
            network(*self.inputs())
            for layer, momentum in zip(layers, momenta, strict=True):
                layer.momentum = momentum
        # torch's matmul rounds differently for weights that require gradients, and injection freezes them
        return network.eval().requires_grad_(False)


def logits(output: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    return output if isinstance(output, torch.Tensor) else output[0]


def _unet(dimensions: int) -> nn.Module:
    return UNet(dimensions, 1, 2, channels=(4, 8, 16), strides=(2, 2), num_res_units=2, norm="batch")


def _flexible(backbone: str) -> nn.Module:
    return FlexibleUNet(3, 2, backbone, decoder_channels=(16, 8, 8, 8, 4), spatial_dims=2)


def _segresnet(dimensions: int) -> nn.Module:
    return SegResNet(dimensions, 8, 1, 2, blocks_down=(1, 1, 1), blocks_up=(1, 1))


def _dynunet(dimensions: int) -> nn.Module:
    return DynUNet(
        dimensions, 1, 2, [3, 3, 3], [1, 2, 2], [2, 2], filters=[4, 8, 16], deep_supervision=True, deep_supr_num=1
    )


def _swin(dimensions: int) -> nn.Module:
    return SwinUNETR(
        in_channels=1,
        out_channels=2,
        feature_size=12,
        depths=(1, 1, 1, 1),
        num_heads=(1, 1, 2, 2),
        window_size=4,
        norm_name="batch" if dimensions == 3 else "instance",
        spatial_dims=dimensions,
    )


def _unetr(dimensions: int) -> nn.Module:
    return UNETR(
        1, 2, (32,) * dimensions, feature_size=4, hidden_size=12, mlp_dim=12, num_heads=2, spatial_dims=dimensions
    )


def _densenet(dimensions: int) -> nn.Module:
    return DenseNet121(dimensions, 1, 2, init_features=4, growth_rate=2, bn_size=2)


def _resnet18(dimensions: int) -> nn.Module:
    return ResNet(
        ResNetBlock,
        [2, 2, 2, 2],
        [4, 8, 8, 16],
        spatial_dims=dimensions,
        n_input_channels=1,
        num_classes=2,
        conv1_t_stride=2,
    )


def _vit(dimensions: int) -> nn.Module:
    return ViT(1, (16,) * dimensions, (8,) * dimensions, 12, 12, 2, 2, classification=True, spatial_dims=dimensions)


def _diffusion(dimensions: int) -> nn.Module:
    return DiffusionModelUNet(
        dimensions,
        1,
        1,
        num_res_blocks=1,
        channels=(4, 8),
        attention_levels=(False, True),
        norm_num_groups=4,
        num_head_channels=4,
    )


CASES = {
    "UNet 2-D": Case(lambda: _unet(2), (1, 16, 16), "script"),
    "UNet 3-D": Case(lambda: _unet(3), (1, 16, 16, 16), "script"),
    "BasicUNet 2-D": Case(lambda: BasicUNet(2, 1, 2, features=(4, 4, 8, 8, 16, 4)), (1, 32, 32), "script"),
    "BasicUNet 3-D": Case(lambda: BasicUNet(3, 1, 2, features=(4, 4, 8, 8, 16, 4)), (1, 32, 32, 32), "script"),
    "FlexibleUNet resnet34": Case(lambda: _flexible("resnet34"), (3, 64, 64), "trace"),
    "FlexibleUNet efficientnet-b0": Case(lambda: _flexible("efficientnet-b0"), (3, 64, 64), "script"),
    "SegResNet 2-D": Case(lambda: _segresnet(2), (1, 16, 16), "script"),
    "SegResNet 3-D": Case(lambda: _segresnet(3), (1, 16, 16, 16), "script"),
    "DynUNet 2-D": Case(lambda: _dynunet(2), (1, 16, 16), "trace"),
    "DynUNet 3-D": Case(lambda: _dynunet(3), (1, 16, 16, 16), "trace"),
    "SwinUNETR 2-D": Case(lambda: _swin(2), (1, 64, 64), "trace"),
    "SwinUNETR 3-D": Case(lambda: _swin(3), (1, 32, 32, 32), "trace"),
    "UNETR 2-D": Case(lambda: _unetr(2), (1, 32, 32), "script"),
    "UNETR 3-D": Case(lambda: _unetr(3), (1, 32, 32, 32), "script"),
    "AttentionUnet 2-D": Case(lambda: AttentionUnet(2, 1, 2, (4, 8, 16), (2, 2)), (1, 16, 16), "script"),
    "AttentionUnet 3-D": Case(lambda: AttentionUnet(3, 1, 2, (4, 8, 16), (2, 2)), (1, 16, 16, 16), "script"),
    "DenseNet121 2-D": Case(lambda: _densenet(2), (1, 64, 64), "script"),
    "DenseNet121 3-D": Case(lambda: _densenet(3), (1, 64, 64, 32), "script"),
    "ResNet18 2-D": Case(lambda: _resnet18(2), (1, 64, 64), "script"),
    "ResNet18 3-D": Case(lambda: _resnet18(3), (1, 64, 64, 32), "script"),
    "ViT 2-D": Case(lambda: _vit(2), (1, 16, 16), "script"),
    "ViT 3-D": Case(lambda: _vit(3), (1, 16, 16, 16), "script"),
    "DiffusionModelUNet 2-D": Case(lambda: _diffusion(2), (1, 8, 8), "trace", timesteps=True),
    "DiffusionModelUNet 3-D": Case(lambda: _diffusion(3), (1, 8, 8, 8), "trace", timesteps=True),
}
