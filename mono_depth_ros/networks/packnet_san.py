# SPDX-License-Identifier: Apache-2.0
"""PackNet-SAN: one network that predicts depth from an image and completes it where sparse depth is given.

The dense network is PackNet (Guizilini et al., CVPR 2020, arXiv 1905.02693), the sparse branch is the sparse auxiliary
network of PackNet-SAN (Guizilini et al., CVPR 2021, arXiv 2103.16690). Read from top to bottom: configuration, blocks
in the order of use, network. `PACKNET_SAN01` and `PACKNET01` are the two configurations of the original release.
"""

import math
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.networks.dense_prior import DensePrior
from mono_depth_ros.networks.sparse_convolution import ENCODED_CHANNELS, SparseBranch, SparsePoints, valid_points

__all__ = ["PACKNET01", "PACKNET_SAN01", "PackNetSan", "PackNetSanConfig", "SparsePoints"]

CELLS = 32  # height and width in cells of the finest features must be multiples of it: five packings halve them
IMAGE_INPUTS = ("rgb", "local_contrast")
PACKING_BORDERS = ("zeros", "continued")
GRID_STRIDES = (1, 2)
CONTRAST_WINDOW_PX = 15


@dataclass(frozen=True, slots=True)
class PackNetSanConfig:
    """Shape of a PackNet-SAN. The defaults are the original `PackNetSAN01`.

    Attributes:
        widths: channels of the stem and of the five levels (ni, n1, n2, n3, n4, n5).
        blocks: residual blocks of levels 2 to 5.
        stem_kernel: kernel of the stem, at full resolution.
        first_kernel: kernel of the only convolution of level 1, at full resolution.
        packing_features: D, number of 3-D convolution features in packing and unpacking.
        pack_kernels: kernels of the convolutions after the packings of levels 1 to 5.
        unpack_kernels: kernels of the convolutions before the unpackings of levels 1 to 5.
        norm_groups: groups of every GroupNorm; the greatest common divisor with the channels is used.
        dropout: probability of dropping a channel of a residual shortcut in training.
        min_depth_m: the inverse depth is sigmoid / min_depth_m.
        sparse: whether there is a sparse branch, that is, whether the network can complete.
        sparse_kernels: kernels of the five levels of the sparse branch, whose widths are n1 to n5.
        sparse_hidden_factor: hidden width of the sparse branch as a multiple of its output width.
        sparse_encoding: "depth" (metres, the original), "inverse" or "log"; see SparseBranch.
        prior: whether the points, filled to a dense map, are given to the network beside the sparse branch (not in the
            original); see DensePrior.
        packing_border: what the second convolution of a packing finds beyond the border: "zeros" (the original), or
            what the first one says there ("continued"); then both are one convolution, and are exported as one.
        image_input: "rgb" as it is (the original), or "local_contrast": every channel relative to mean and deviation of
            its surroundings, which leaves edges and texture and takes light and exposure away.
        grid_stride: pixels per cell of the finest features. 1 is the original; 2 packs the image (space to depth)
            before the stem, and every head unpacks: a fourth of the work, and depth at every pixel all the same.
    """

    widths: tuple[int, ...] = (32, 32, 64, 128, 256, 512)
    blocks: tuple[int, ...] = (2, 2, 3, 3)
    stem_kernel: int = 5
    first_kernel: int = 7
    packing_features: int = 4
    pack_kernels: tuple[int, ...] = (5, 3, 3, 3, 3)
    unpack_kernels: tuple[int, ...] = (3, 3, 3, 3, 3)
    norm_groups: int = 16
    dropout: float = 0.0
    min_depth_m: float = 0.5
    sparse: bool = True
    sparse_kernels: tuple[int, ...] = (5, 5, 3, 3, 3)
    sparse_hidden_factor: int = 2
    sparse_encoding: str = "depth"
    prior: bool = False
    packing_border: str = "zeros"
    image_input: str = "rgb"
    grid_stride: int = 1

    def __post_init__(self) -> None:
        """Collect every problem, then raise ConfigError once."""
        problems = []
        for name, length in (
            ("widths", 6),
            ("blocks", 4),
            *((f"{n}_kernels", 5) for n in ("pack", "unpack", "sparse")),
        ):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)  # a list from YAML or JSON becomes a tuple
            if len(values) != length or not all(isinstance(v, int) and v > 0 for v in values):
                problems.append(f"{name}: expected {length} positive integers, got {values}")
        kernels = (self.stem_kernel, self.first_kernel, *self.pack_kernels, *self.unpack_kernels, *self.sparse_kernels)
        if any(kernel % 2 == 0 for kernel in kernels):
            problems.append(f"kernels: expected odd sizes, got {kernels}")
        if self.packing_features < 1 or any(width % self.packing_features for width in self.widths[1:]):
            problems.append(f"packing_features: expected a divisor of {self.widths[1:]}, got {self.packing_features}")
        if self.norm_groups < 1 or self.sparse_hidden_factor < 1:
            problems.append("norm_groups and sparse_hidden_factor: expected at least 1")
        if not 0.0 <= self.dropout < 1.0:
            problems.append(f"dropout: expected a probability below 1, got {self.dropout}")
        if not self.min_depth_m > 0.0:
            problems.append(f"min_depth_m: expected metres > 0, got {self.min_depth_m}")
        for name, known in (
            ("sparse_encoding", tuple(ENCODED_CHANNELS)),
            ("packing_border", PACKING_BORDERS),
            ("image_input", IMAGE_INPUTS),
            ("grid_stride", GRID_STRIDES),
        ):
            if getattr(self, name) not in known:
                problems.append(f"{name}: expected one of {known}, got {getattr(self, name)!r}")
        if self.prior and not self.sparse:
            problems.append("prior: expected false without a sparse branch, got true")
        if problems:
            raise ConfigError("network configuration: " + "; ".join(problems))

    @property
    def size_step_px(self) -> int:
        """Height and width of images must be multiples of it."""
        return CELLS * self.grid_stride

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for YAML, JSON and checkpoints; `from_dict` reads it back."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "PackNetSanConfig":
        """Configuration from a dictionary; missing keys take the defaults, unknown keys raise ConfigError."""
        names = [field.name for field in fields(cls)]
        unknown = [key for key in values if key not in names]
        if unknown:
            hints = [f"{key!r} (near: {get_close_matches(str(key), names, 1) or 'nothing'})" for key in unknown]
            raise ConfigError(f"network configuration: unknown keys {', '.join(hints)}; known are {names}")
        return cls(**values)


PACKNET_SAN01 = PackNetSanConfig()
PACKNET01 = replace(PACKNET_SAN01, widths=(64, 64, 64, 128, 256, 512), packing_features=8, sparse=False)


class ConvNormElu(nn.Module):
    """Convolution that keeps the size (or, without padding, takes the border away), GroupNorm, ELU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, config: PackNetSanConfig, padded: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2 if padded else 0)
        self.norm = nn.GroupNorm(math.gcd(config.norm_groups, out_channels), out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, H, W] -> [B, Cout, H, W]."""
        return functional.elu(self.norm(self.conv(x)))


class ResidualBlock(nn.Module):
    """Two ConvNormElu beside a 1x1 shortcut, summed, GroupNorm, ELU."""

    def __init__(self, in_channels: int, out_channels: int, config: PackNetSanConfig) -> None:
        super().__init__()
        self.conv1 = ConvNormElu(in_channels, out_channels, 3, config)
        self.conv2 = ConvNormElu(out_channels, out_channels, 3, config)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1)
        self.dropout = nn.Dropout2d(config.dropout)
        self.norm = nn.GroupNorm(math.gcd(config.norm_groups, out_channels), out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, H, W] -> [B, Cout, H, W]."""
        return functional.elu(self.norm(self.conv2(self.conv1(x)) + self.dropout(self.shortcut(x))))


class ChannelConv3d(nn.Module):
    """The 3-D convolution of packing: each channel and its two neighbours, 3x3 in the image, D features.

    Equals `nn.Conv3d(1, D, 3, padding=1)` on the channels as depth axis, `weight[d, j, y, x] = W[d, 0, j, y, x]`.
    Written as a 2-D convolution over blocks of 16 channels and their two outer neighbours, with a banded weight: six
    times the multiplications, but CPUs do them many times faster than a Conv3d of one input channel, above all
    backwards.
    """

    def __init__(self, channels: int, features: int, margin: int = 0) -> None:
        """`margin` is how many pixels beyond the image the output reaches."""
        super().__init__()
        self.channels = channels
        self.padding = 1 + margin
        self.block = math.gcd(channels, 16)
        self.weight = nn.Parameter(torch.empty(features, 3, 3, 3))
        self.bias = nn.Parameter(torch.zeros(features))
        nn.init.xavier_uniform_(self.weight.unsqueeze(1))
        # bands[i, c]: which of the three weights joins channel i of a block with input c; 3 stands for none
        step = torch.arange(self.block + 2) - torch.arange(self.block).unsqueeze(1)
        bands = torch.where((step >= 0) & (step < 3), step, 3)
        self.register_buffer("bands", bands.flatten(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, D, H + 2 margin, W + 2 margin] (nn.Conv3d would give [B, D, C, ...])."""
        block, features = self.block, self.bias.numel()
        with_none = functional.pad(self.weight, (0, 0, 0, 0, 0, 1)).transpose(0, 1)  # [4, D, 3, 3]
        banded = with_none.index_select(0, self.bands).unflatten(0, (block, block + 2)).transpose(1, 2)
        padded = functional.pad(x, (0, 0, 0, 0, 1, 1))
        blocks = [padded[:, start : start + block + 2] for start in range(0, self.channels, block)]
        volume = functional.conv2d(
            torch.stack(blocks, dim=1).flatten(0, 1),  # [B * C / block, block + 2, H, W]
            banded.reshape(block * features, block + 2, 3, 3),
            self.bias.repeat(block),
            padding=self.padding,
        )
        return volume.unflatten(1, (block, features)).unflatten(0, (-1, self.channels // block)).flatten(1, 2)


class Packing(nn.Module):
    """Halve the size without losing detail: space to depth, 3-D convolution, 2-D convolution."""

    def __init__(self, channels: int, kernel_size: int, config: PackNetSanConfig) -> None:
        super().__init__()
        zeros = config.packing_border == "zeros"
        self.conv3d = ChannelConv3d(4 * channels, config.packing_features, margin=0 if zeros else kernel_size // 2)
        self.conv = ConvNormElu(4 * channels * config.packing_features, channels, kernel_size, config, padded=zeros)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H/2, W/2]."""
        return self.conv(self.conv3d(functional.pixel_unshuffle(x, 2)).flatten(1, 2))


class Unpacking(nn.Module):
    """Double the size: 2-D convolution, 3-D convolution, depth to space."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, config: PackNetSanConfig) -> None:
        super().__init__()
        inner = 4 * out_channels // config.packing_features
        self.conv = ConvNormElu(in_channels, inner, kernel_size, config)
        self.conv3d = ChannelConv3d(inner, config.packing_features)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, H, W] -> [B, Cout, 2H, 2W]; output channels in the order (D, 4 Cout / D) of the original."""
        volume = self.conv3d(self.conv(x))  # [B, 4 Cout / D, D, H, W]
        return functional.pixel_shuffle(volume.transpose(1, 2).flatten(1, 2), 2)


class InverseDepthHead(nn.Module):
    """Features -> inverse depth in (0, 1 / min_depth_m), 1/m, at `grid_stride` times their size."""

    def __init__(self, channels: int, config: PackNetSanConfig) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, config.grid_stride**2, 3, padding=1)
        self.grid_stride, self.min_depth_m = config.grid_stride, config.min_depth_m

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, 1, s H, s W]. Far depths need the weights' float32, whatever a caller's autocast says."""
        with torch.autocast(device_type=x.device.type, enabled=False):
            logits = functional.pixel_shuffle(self.conv(x.to(self.conv.weight.dtype)), self.grid_stride)
            return torch.sigmoid(logits) / self.min_depth_m


def local_contrast(rgb: Tensor) -> Tensor:
    """Every channel minus its mean in a window around each pixel, over its deviation there; float [B, 3, H, W]."""

    def mean(x: Tensor) -> Tensor:
        side = CONTRAST_WINDOW_PX
        return functional.avg_pool2d(x, side, stride=1, padding=side // 2, count_include_pad=False)

    centred = rgb - mean(rgb)
    return 0.5 * centred * torch.rsqrt(mean(centred * centred) + 1e-3)  # even areas keep their faint differences


class PackNetFeatures(NamedTuple):
    """Encoder output: `stem` [B, ni, H, W] and five `skips` [B, n_l, H / 2^l, W / 2^l], l = 1..5; H, W in cells."""

    stem: Tensor
    skips: tuple[Tensor, ...]


class PackNetSanOutput(NamedTuple):
    """Four `inv_depths` [B, 1, H / 2^s, W / 2^s], s = 0..3, finest first, in 1/m, and the `skips` they come from."""

    inv_depths: tuple[Tensor, ...]
    skips: tuple[Tensor, ...]


class PackNetSan(nn.Module):
    """PackNet with a sparse auxiliary network. `forward` is `decode(fuse(encode(rgb), points))`.

    A trainer that needs prediction and completion of the same images calls `encode` once and `decode` twice.
    """

    def __init__(self, config: PackNetSanConfig) -> None:
        super().__init__()
        self.config = config
        stem, *widths = config.widths
        self.stem = ConvNormElu(3 * config.grid_stride**2, stem, config.stem_kernel, config)
        self.stages = nn.ModuleList([ConvNormElu(stem, widths[0], config.first_kernel, config)])
        for i, count in enumerate(config.blocks):
            inputs = (widths[i], *[widths[i + 1]] * (count - 1))
            self.stages.append(nn.Sequential(*(ResidualBlock(n, widths[i + 1], config) for n in inputs)))
        self.packings = nn.ModuleList(Packing(widths[i], config.pack_kernels[i], config) for i in range(5))

        skips = (stem, *widths[:4])  # what level i of the decoder sees of the encoder
        inputs = (*widths[1:], widths[4])  # what it receives from the level below
        self.unpackings = nn.ModuleList(
            Unpacking(inputs[i], widths[i], config.unpack_kernels[i], config) for i in range(5)
        )
        with_inv_depth = (1, 1, 1, 0, 0)
        self.merges = nn.ModuleList(
            ConvNormElu(widths[i] + skips[i] + with_inv_depth[i], widths[i], 3, config) for i in range(5)
        )
        self.heads = nn.ModuleList(InverseDepthHead(widths[i], config) for i in range(4))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

        if config.sparse:
            self.sparse_branch = SparseBranch(
                tuple(widths),
                config.sparse_kernels,
                config.sparse_hidden_factor,
                config.sparse_encoding,
                config.grid_stride,
            )
            self.fusion_weight = nn.Parameter(torch.ones(5))
            self.fusion_bias = nn.Parameter(torch.zeros(5))
        if config.prior:
            self.prior = DensePrior((stem, *widths), config.grid_stride)

    def encode(self, rgb: Tensor) -> PackNetFeatures:
        """Image features.

        Args:
            rgb: float [B, 3, H, W] in 0..1; H and W multiples of `config.size_step_px`.

        Raises:
            ConfigError: the size does not fit.
        """
        step = self.config.size_step_px
        if rgb.ndim != 4 or rgb.shape[1] != 3 or rgb.shape[2] % step or rgb.shape[3] % step:
            raise ConfigError(
                f"rgb: expected [B, 3, H, W] with H and W multiples of {step}, got {tuple(rgb.shape)}; "
                "resize the image (and its camera) first"
            )
        seen = local_contrast(rgb) if self.config.image_input == "local_contrast" else rgb
        x = stem = self.stem(functional.pixel_unshuffle(seen, self.config.grid_stride))
        skips = []
        for stage, packing in zip(self.stages, self.packings, strict=True):
            x = packing(stage(x))
            skips.append(x)
        return PackNetFeatures(stem, tuple(skips))

    def fuse(self, features: PackNetFeatures, points: SparsePoints) -> PackNetFeatures:
        """Add the sparse features: `skip_l * w_l + san_l + b_l` in images with a valid point, `skip_l` in the others.

        With a prior, its features are added to those and to the stem.

        Raises:
            ConfigError: the network has no sparse branch.
        """
        if not self.config.sparse:
            raise ConfigError("points: this network only predicts (its configuration has sparse=False); pass None")
        batch, _, rows, columns = features.stem.shape
        height, width = int(rows) * self.config.grid_stride, int(columns) * self.config.grid_stride
        has_points, maps = self.sparse_branch(points, batch, height, width)
        choose = has_points.view(-1, 1, 1, 1)
        fused = [skip * self.fusion_weight[i] + maps[i] + self.fusion_bias[i] for i, skip in enumerate(features.skips)]
        stem = features.stem
        if self.config.prior:
            prior = self.prior(valid_points(points, batch, height, width), batch, height, width)
            fused = [skip + filled for skip, filled in zip(fused, prior[1:], strict=True)]
            stem = torch.where(choose, stem + prior[0], stem)
        skips = (torch.where(choose, new, skip) for new, skip in zip(fused, features.skips, strict=True))
        return PackNetFeatures(stem, tuple(skips))

    def decode(self, features: PackNetFeatures) -> tuple[Tensor, ...]:
        """Four inverse depths [B, 1, H / 2^s, W / 2^s], finest first, in 1/m."""
        skips = (features.stem, *features.skips[:4])
        x = features.skips[4]
        inv_depths: list[Tensor] = []
        for i in (4, 3, 2, 1, 0):
            parts = [self.unpackings[i](x), skips[i]]
            if inv_depths:
                coarser = inv_depths[0]  # with a grid of stride 2 it has one value per cell of this level already
                stride_1 = self.config.grid_stride == 1
                parts.append(functional.interpolate(coarser, scale_factor=2.0, mode="nearest") if stride_1 else coarser)
            x = self.merges[i](torch.cat(parts, dim=1))
            if i < len(self.heads):
                inv_depths.insert(0, self.heads[i](x))
        return tuple(inv_depths)

    def forward(self, rgb: Tensor, points: SparsePoints | None = None) -> PackNetSanOutput:
        """Depth of a batch of images.

        Args:
            rgb: float [B, 3, H, W] in 0..1; H and W multiples of `config.size_step_px`.
            points: sparse depth of the batch; None predicts, as does a batch without any valid point.
        """
        features = self.encode(rgb)
        if points is not None:
            features = self.fuse(features, points)
        return PackNetSanOutput(self.decode(features), features.skips)
