"""One table of convolutions × properties of the layer that adapts them."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from peft import LoraConfig
from peft.tuners.lora.layer import Conv2d as PeftConv2d
from torch import nn

from monai_unlearn.networks import LoraConvolution

RANK, ALPHA = 3, 6.0

CONVOLUTIONS = {
    "1-D": nn.Conv1d(4, 6, 3, padding=1),
    "1-D 1": nn.Conv1d(4, 6, 1),
    "2-D": nn.Conv2d(4, 6, 3, padding=1),
    "2-D without bias": nn.Conv2d(4, 6, 3, bias=False),
    "2-D stride 2": nn.Conv2d(4, 6, 3, stride=2, padding=1),
    "2-D kernel (3, 1), padding same": nn.Conv2d(4, 6, (3, 1), padding="same"),
    "2-D dilation 2": nn.Conv2d(4, 6, 3, dilation=2),
    "2-D reflect": nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
    "2-D circular": nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"),
    "2-D groups 2, rank not divisible": nn.Conv2d(4, 6, 3, groups=2),
    "2-D depthwise": nn.Conv2d(4, 8, 3, groups=4),
    "3-D": nn.Conv3d(4, 6, 3, padding=1),
    "3-D kernel 1": nn.Conv3d(4, 6, 1),
    "3-D kernel 1, one channel, out = rank": nn.Conv3d(1, 3, 1),
    "3-D kernel (1, 1, 3)": nn.Conv3d(4, 6, (1, 1, 3)),
    "3-D circular, dilation 2, groups 2": nn.Conv3d(4, 6, 3, padding=2, dilation=2, padding_mode="circular", groups=2),
    "transposed 1-D": nn.ConvTranspose1d(4, 6, 2, stride=2),
    "transposed 2-D": nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1),
    "transposed 2-D groups 2": nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2),
    "transposed 2-D dilation 2, no bias": nn.ConvTranspose2d(4, 6, 3, dilation=2, bias=False),
    "transposed 3-D": nn.ConvTranspose3d(4, 6, 2, stride=2),
    "transposed 3-D depthwise": nn.ConvTranspose3d(4, 4, 3, stride=2, padding=1, output_padding=1, groups=4),
    "transposed 3-D kernel 1": nn.ConvTranspose3d(4, 6, 1),
}
every_convolution = pytest.mark.parametrize("base", CONVOLUTIONS.values(), ids=CONVOLUTIONS.keys())


def adapt(base: nn.Module, *, dropout: float = 0.0, zero: bool = False) -> LoraConvolution:
    config = LoraConfig(lora_dropout=dropout)
    layer = LoraConvolution(copy.deepcopy(base), "default", config=config, r=RANK, lora_alpha=ALPHA)
    if not zero:
        nn.init.normal_(layer.lora_B["default"].weight)
    return layer


def example(base: nn.Module) -> torch.Tensor:
    return torch.randn(2, base.in_channels, *(7, 6, 5)[: base.weight.dim() - 2])


def delta_by_loops(layer: LoraConvolution) -> torch.Tensor:
    """Sum a rank-1 product for every entry of the weight by hand."""
    a, b = layer.lora_A["default"].weight.detach(), layer.lora_B["default"].weight.detach()
    base = layer.base_layer
    delta = torch.zeros_like(base.weight)
    for i, j, r in itertools.product(range(base.weight.shape[0]), range(base.weight.shape[1]), range(RANK)):
        if base.transposed:  # weight[in, out]
            delta[i, j] += a[i, r] * b[j, r].item() * ALPHA / RANK
        else:  # weight[out, in]
            delta[i, j] += a[r, j] * b[i, r].item() * ALPHA / RANK
    return delta


def functional(base: nn.Module, weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Apply the layer's function with another weight, through torch's functional form."""
    dimensions = weight.dim() - 2
    if base.transposed:
        function = getattr(F, f"conv_transpose{dimensions}d")
        return function(
            x, weight, base.bias, base.stride, base.padding, base.output_padding, base.groups, base.dilation
        )
    padding = base.padding
    if base.padding_mode != "zeros":
        x = F.pad(x, [p for p in reversed(base.padding) for _ in range(2)], mode=base.padding_mode)
        padding = 0
    function = getattr(F, f"conv{dimensions}d")
    return function(x, weight, base.bias, base.stride, padding, base.dilation, base.groups)


@every_convolution
def test_a_new_adapter_changes_nothing(base):
    x = example(base)
    assert torch.equal(adapt(base, zero=True)(x), base(x))


@every_convolution
def test_delta_is_the_scaled_product_of_b_and_a(base):
    layer = adapt(base)
    torch.testing.assert_close(layer.get_delta_weight("default").detach(), delta_by_loops(layer))


@every_convolution
def test_output_is_that_of_the_convolution_with_the_summed_weight(base):
    layer, x = adapt(base), example(base)
    torch.testing.assert_close(layer(x), functional(base, base.weight + delta_by_loops(layer), x))


@every_convolution
def test_eval_mode_ignores_dropout(base):
    layer, x = adapt(base, dropout=0.5).eval(), example(base)
    torch.testing.assert_close(layer(x), functional(base, base.weight + delta_by_loops(layer), x))


@every_convolution
def test_dropout_acts_on_the_input_of_the_adapter_alone(base):
    layer, x = adapt(base, dropout=0.5).train(), example(base)
    torch.manual_seed(1)
    output = layer(x)
    torch.manual_seed(1)
    dropped = F.dropout(x, 0.5)
    zero = torch.zeros_like(x)
    adapter = functional(base, delta_by_loops(layer), dropped) - functional(base, delta_by_loops(layer), zero)
    torch.testing.assert_close(output, base(x) + adapter, atol=1e-5, rtol=1e-4)


@every_convolution
def test_both_factors_get_the_gradient_of_the_summed_weight(base):
    layer, x = adapt(base), example(base)
    weight = (base.weight + delta_by_loops(layer)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(functional(base, weight, x).square().sum(), weight)
    factors = [layer.lora_A["default"].weight, layer.lora_B["default"].weight]
    gradients = torch.autograd.grad(layer(x).square().sum(), factors)
    for factor, found in zip(factors, gradients, strict=True):
        # the delta is linear in each factor, so its change along a direction is the delta with the direction for factor
        kept, direction = factor.data, torch.randn_like(factor)
        factor.data = direction
        slope = (gradient * delta_by_loops(layer)).sum()
        factor.data = kept
        torch.testing.assert_close((found * direction).sum(), slope, atol=1e-3, rtol=1e-3)


@every_convolution
def test_merged_output_is_adapter_output_and_unmerging_is_exact(base):
    layer, x = adapt(base), example(base)
    adapted = layer(x)
    layer.merge(safe_merge=True)
    torch.testing.assert_close(layer.base_layer(x), adapted)
    assert torch.equal(layer(x), layer.base_layer(x))
    layer.unmerge()
    assert torch.equal(layer.base_layer.weight, base.weight)


@every_convolution
def test_a_merged_layer_switched_off_is_the_base_layer(base):
    layer, x = adapt(base), example(base)
    layer.merge()
    layer.enable_adapters(False)
    assert torch.equal(layer(x), base(x))


@every_convolution
def test_first_draw_of_a_is_torchs_for_a_convolution(base):
    layer = adapt(base)
    bound = 1 / math.sqrt(base.in_channels / base.groups * math.prod(base.kernel_size))
    drawn = layer.lora_A["default"].weight.abs().max()
    assert 0.5 * bound < drawn <= bound


def test_gradients_are_those_of_pefts_own_layer():
    config = LoraConfig(lora_dropout=0.0)
    base = nn.Conv2d(4, 6, 3, stride=2, padding=1)
    ours = LoraConvolution(base, "default", config=config, r=RANK, lora_alpha=ALPHA)
    peft = PeftConv2d(base, "default", config=config, r=RANK, lora_alpha=ALPHA)
    nn.init.normal_(ours.lora_B["default"].weight)
    assert ours.state_dict().keys() == peft.state_dict().keys()
    peft.load_state_dict(ours.state_dict())
    x = torch.randn(2, 4, 9, 9)
    outputs = {}
    for layer in (ours, peft):
        outputs[layer] = layer(x)
        outputs[layer].square().sum().backward()
    torch.testing.assert_close(outputs[ours], outputs[peft])
    torch.testing.assert_close(ours.get_delta_weight("default"), peft.get_delta_weight("default"))
    for factor in ("lora_A", "lora_B"):
        gradients = [getattr(layer, factor)["default"].weight.grad for layer in (ours, peft)]
        torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


def test_one_step_without_dropout_runs_the_base_layer_once():
    layer, calls = adapt(nn.Conv2d(4, 6, 3)), []
    layer.base_layer.register_forward_hook(lambda *_: calls.append(1))
    layer.train()(torch.randn(1, 4, 5, 5))
    assert len(calls) == 1


def test_output_size_reaches_a_transposed_convolution():
    layer = adapt(nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1))
    assert layer(torch.randn(1, 4, 5, 5), output_size=[10, 10]).shape == (1, 6, 10, 10)


def test_adapter_follows_the_precision_of_the_base_layer():
    layer = adapt(nn.Conv3d(4, 6, 1).double())
    assert layer.lora_A["default"].weight.dtype == torch.float64
    assert layer(torch.randn(1, 4, 2, 2, 2, dtype=torch.float64)).dtype == torch.float64


def test_broken_adapter_is_not_merged():
    layer = adapt(nn.Conv2d(4, 6, 3))
    weight = layer.base_layer.weight.detach().clone()
    layer.lora_B["default"].weight.data.fill_(torch.nan)
    with pytest.raises(ValueError, match="not finite"):
        layer.merge(safe_merge=True)
    assert torch.equal(layer.base_layer.weight, weight)


@pytest.mark.parametrize("setting", [{"use_dora": True}, {"use_rslora": True}, {"init_lora_weights": "gaussian"}])
def test_variants_of_lora_are_refused(setting):
    with pytest.raises(ValueError, match="plain LoRA only"):
        LoraConvolution(nn.Conv2d(1, 1, 3), "default", config=LoraConfig(**setting), r=1, lora_alpha=1)


def test_rank_zero_is_refused():
    with pytest.raises(ValueError, match="positive integer, got 0"):
        LoraConvolution(nn.Conv2d(1, 1, 3), "default", config=LoraConfig(), r=0, lora_alpha=1)
