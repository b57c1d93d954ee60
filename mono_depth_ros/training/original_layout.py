# SPDX-License-Identifier: Apache-2.0
"""Names and layouts of the weights in the original PackNet release, and how ours are made of them.

Three layouts differ. After a packing the original orders channels as (D, 4C), we as (4C, D). The original's sparse
kernels are [K*K, Cin, Cout] with the row offset running fastest, ours [K*K*Cin, Cout] with the column offset fastest.
And we keep the convolutions of a sparse level that read the same cells in one matrix.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mono_depth_ros.errors import ModelContractError
from mono_depth_ros.networks.packnet_san import PackNetSanConfig
from mono_depth_ros.networks.pose_net import KERNELS, WIDTHS

Shape = tuple[int, ...]
SETTLED_BATCHES = 10_000
NORM_PARTS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True, slots=True)
class Translation:
    """How one of our tensors is made: original keys, the shape each must have, and what to do with them."""

    shapes: dict[str, Shape]
    build: Callable[[list[Tensor]], Tensor]


Translations = dict[str, Translation]


def first(tensors: list[Tensor]) -> Tensor:
    """The one tensor, unchanged."""
    return tensors[0]


def copied(ours: str, theirs: str, shape: Shape) -> Translations:
    """A tensor that only changes its name."""
    return {ours: Translation({theirs: shape}, first)}


def convolution(ours: str, theirs: str, shape: Shape) -> Translations:
    """Weight [Cout, Cin, k, k] and bias [Cout]."""
    return {
        **copied(f"{ours}.weight", f"{theirs}.weight", shape),
        **copied(f"{ours}.bias", f"{theirs}.bias", shape[:1]),
    }


def conv_norm_elu(ours: str, theirs: str, shape: Shape) -> Translations:
    """ConvNormElu: convolution and GroupNorm."""
    return {
        **convolution(f"{ours}.conv", f"{theirs}.conv_base", shape),
        **copied(f"{ours}.norm.weight", f"{theirs}.normalize.weight", shape[:1]),
        **copied(f"{ours}.norm.bias", f"{theirs}.normalize.bias", shape[:1]),
    }


def residual_block(ours: str, theirs: str, inputs: int, outputs: int) -> Translations:
    """ResidualBlock."""
    return {
        **conv_norm_elu(f"{ours}.conv1", f"{theirs}.conv1", (outputs, inputs, 3, 3)),
        **conv_norm_elu(f"{ours}.conv2", f"{theirs}.conv2", (outputs, outputs, 3, 3)),
        **convolution(f"{ours}.shortcut", f"{theirs}.conv3", (outputs, inputs, 1, 1)),
        **copied(f"{ours}.norm.weight", f"{theirs}.normalize.weight", (outputs,)),
        **copied(f"{ours}.norm.bias", f"{theirs}.normalize.bias", (outputs,)),
    }


def channel_conv3d(ours: str, theirs: str, features: int) -> Translations:
    """ChannelConv3d: Conv3d weight [D, 1, 3, 3, 3] -> ours [D, 3, 3, 3]."""
    weight = Translation({f"{theirs}.weight": (features, 1, 3, 3, 3)}, lambda tensors: tensors[0][:, 0])
    return {f"{ours}.weight": weight, **copied(f"{ours}.bias", f"{theirs}.bias", (features,))}


def packing(ours: str, theirs: str, channels: int, kernel: int, features: int) -> Translations:
    """Packing; the input channels of its convolution go from (D, 4C) to (4C, D)."""
    shape = (channels, 4 * channels * features, kernel, kernel)

    def reorder(tensors: list[Tensor]) -> Tensor:
        return tensors[0].unflatten(1, (features, -1)).transpose(1, 2).flatten(1, 2)

    translations = {
        **channel_conv3d(f"{ours}.conv3d", f"{theirs}.conv3d", features),
        **conv_norm_elu(f"{ours}.conv", f"{theirs}.conv", shape),
    }
    translations[f"{ours}.conv.conv.weight"] = Translation({f"{theirs}.conv.conv_base.weight": shape}, reorder)
    return translations


def dense_translations(config: PackNetSanConfig, encoder: str, decoder: str) -> Translations:
    """Encoder and decoder; `encoder` and `decoder` are the original's prefixes ("" in PackNet01)."""
    stem, *widths = config.widths
    features = config.packing_features
    result = conv_norm_elu("stem", f"{encoder}pre_calc", (stem, 3, config.stem_kernel, config.stem_kernel))
    kernel = config.first_kernel
    result |= conv_norm_elu("stages.0", f"{encoder}conv1", (widths[0], stem, kernel, kernel))
    for i, count in enumerate(config.blocks):
        for b in range(count):
            inputs = widths[i] if b == 0 else widths[i + 1]
            result |= residual_block(f"stages.{i + 1}.{b}", f"{encoder}conv{i + 2}.{b}", inputs, widths[i + 1])
    for i in range(5):
        result |= packing(f"packings.{i}", f"{encoder}pack{i + 1}", widths[i], config.pack_kernels[i], features)

    skips = (stem, *widths[:4])
    below = (*widths[1:], widths[4])
    for i in range(5):
        kernel = config.unpack_kernels[i]
        unpack = (4 * widths[i] // features, below[i], kernel, kernel)
        result |= conv_norm_elu(f"unpackings.{i}.conv", f"{decoder}unpack{i + 1}.conv", unpack)
        result |= channel_conv3d(f"unpackings.{i}.conv3d", f"{decoder}unpack{i + 1}.conv3d", features)
        inputs = widths[i] + skips[i] + (1 if i < 3 else 0)
        result |= conv_norm_elu(f"merges.{i}", f"{decoder}iconv{i + 1}", (widths[i], inputs, 3, 3))
    for i in range(4):
        result |= convolution(f"heads.{i}.conv", f"{decoder}disp{i + 1}_layer.conv1", (1, widths[i], 3, 3))
    return result


def sparse_kernel(ours: str, kernels: Mapping[str, Shape], axis: int) -> Translations:
    """Original kernels [K*K, Cin, Cout], joined along `axis` (1: inputs, 2: outputs) -> our matrix [K*K*Cin, Cout]."""

    def build(tensors: list[Tensor]) -> Tensor:
        kernel = torch.cat(tensors, dim=axis)
        size = int(kernel.shape[0] ** 0.5)
        return kernel.unflatten(0, (size, size)).transpose(0, 1).flatten(0, 2)

    return {ours: Translation(dict(kernels), build)}


def sparse_norm(ours: str, theirs: list[str], channels: int) -> Translations:
    """Batch norms of `channels` each, joined.

    The counter of batches is one for all of them, so it is not read; it only has to say that the statistics are
    settled, lest the first batch of a fine-tuning replaces them.
    """
    result = {
        f"{ours}.norm.{part}": Translation({f"{name}.bn.{part}": (channels,) for name in theirs}, torch.cat)
        for part in NORM_PARTS
    }
    result[f"{ours}.norm.num_batches_tracked"] = Translation({}, lambda _: torch.tensor(SETTLED_BATCHES))
    return result


def sparse_translations(config: PackNetSanConfig) -> Translations:
    """Sparse branch and fusion."""
    result = copied("fusion_weight", "weight", (5,)) | copied("fusion_bias", "bias", (5,))
    inputs = (1, *config.widths[1:])
    for i, outputs in enumerate(config.widths[1:]):
        ours, theirs = f"sparse_branch.levels.{i}", f"mconvs.mconvs.{i}"
        cells, hidden = config.sparse_kernels[i] ** 2, config.sparse_hidden_factor * outputs
        expand = {f"{theirs}.layer1.0.kernel": (cells, inputs[i], outputs)}
        expand |= {f"{theirs}.layer{chain}.0.kernel": (cells, inputs[i], hidden) for chain in (2, 3)}
        result |= sparse_kernel(f"{ours}.expand.weight", expand, axis=2)
        result |= sparse_norm(f"{ours}.expand_norm", [f"{theirs}.layer2.1", f"{theirs}.layer3.1"], hidden)
        middle = {f"{theirs}.layer3.3.kernel": (cells, hidden, hidden)}
        result |= sparse_kernel(f"{ours}.hidden.weight", middle, axis=1)
        result |= sparse_norm(f"{ours}.hidden_norm", [f"{theirs}.layer3.4"], hidden)
        last = {f"{theirs}.layer{chain}.kernel": (cells, hidden, outputs) for chain in ("2.3", "3.6")}
        result |= sparse_kernel(f"{ours}.merge.weight", last, axis=1)
        result |= sparse_norm(f"{ours}.final_norm", [f"{theirs}.layer_final.0"], outputs)
    return result


def packnet_translations(config: PackNetSanConfig) -> Translations:
    """Every tensor of our PackNetSan from the original PackNetSAN01 (config.sparse) or PackNet01."""
    if not config.sparse:
        return dense_translations(config, "", "")
    return dense_translations(config, "encoder.", "decoder.") | sparse_translations(config)


def pose_translations(neighbours: int) -> Translations:
    """Every tensor of our PoseNet from the original one."""
    inputs = (3 * (neighbours + 1), *WIDTHS[:-1])
    result = convolution("head", "pose_pred", (6 * neighbours, WIDTHS[-1], 1, 1))
    for i, kernel in enumerate(KERNELS):
        result |= convolution(f"stages.{i}.0", f"conv{i + 1}.0", (WIDTHS[i], inputs[i], kernel, kernel))
        result |= copied(f"stages.{i}.1.weight", f"conv{i + 1}.1.weight", (WIDTHS[i],))
        result |= copied(f"stages.{i}.1.bias", f"conv{i + 1}.1.bias", (WIDTHS[i],))
    return result


def translate(tensors: dict[str, Tensor], translations: Translations, name: str) -> dict[str, Tensor]:
    """Our weights from the original tensors.

    Raises:
        ModelContractError: lists every missing, unexpected and misshaped tensor at once.
    """
    expected: dict[str, Shape] = {}
    for entry in translations.values():
        expected |= entry.shapes
    problems = [f"missing {key} {list(shape)}" for key, shape in expected.items() if key not in tensors]
    problems += [
        f"unexpected {key} {list(tensor.shape)}"
        for key, tensor in tensors.items()
        if key not in expected and not key.endswith(".num_batches_tracked")
    ]
    problems += [
        f"misshaped {key}: expected {list(shape)}, got {list(tensors[key].shape)}"
        for key, shape in expected.items()
        if key in tensors and tuple(tensors[key].shape) != shape
    ]
    if problems:
        raise ModelContractError(f"{name}: {len(problems)} tensors do not fit: " + "; ".join(problems))
    return {
        ours: entry.build([tensors[key] for key in entry.shapes]).float() if entry.shapes else entry.build([])
        for ours, entry in translations.items()
    }
