# SPDX-License-Identifier: Apache-2.0
"""LiteSan: depth from an image, and from whatever else is known of it: sparse depth, the plane of the ground.

One network for all of it, as PackNet-SAN (Guizilini et al., CVPR 2021, arXiv 2103.16690) is for image and points, made
for small computers: an EfficientNet-Lite encoder that may start from ImageNet, a light decoder, the sparse auxiliary
network, and beside it a dense view of the points: what an edge-aware interpolation makes of them, and how far it can be
trusted. The decoder says how much of that interpolation it takes at every pixel, how wrong it may be, and where the sky
is. Any size in multiples of 32 pixels. Read from top to bottom: configuration, blocks in the order of use, network.
"""

from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.networks.edge_aware_fill import Fill, edge_aware_fill
from mono_depth_ros.networks.efficientnet_lite import SCALES, EfficientNetLite, tap_channels
from mono_depth_ros.networks.sparse_convolution import SparseBranch, SparsePoints, valid_points

SIZE_STEP_PX = 32
LEVELS = 5  # strides 2, 4, 8, 16, 32
HEADS = 4  # inverse depth at full size, 1/2, 1/4, 1/8
DENSE_CHANNELS = 7  # of the dense view: three of the fill, two of the points themselves, two of the ground
START_LOGIT = -3.0  # inverse depth before training: 10 m with min_depth_m 0.5
SURE_OF_MOUNT = 0.3
START_LOG_SPREAD = -1.5
COORDINATE_PX = 256.0  # unit of the coordinates that the decoder is given


@dataclass(frozen=True, slots=True)
class LiteSanConfig:
    """Shape of a LiteSan.

    Attributes:
        encoder: a key of `efficientnet_lite.SCALES`.
        folded_norms: whether the encoder is without normalisation layers, theirs being folded into its weights: for
            pretrained ones. A network that starts from nothing needs them: false.
        widths: channels of the decoder at strides 2, 4, 8, 16, 32.
        dense_widths: channels of the dense view at the same strides.
        sparse: whether the network can complete.
        sparse_widths, sparse_kernels: of the sparse branch at the same strides; empty for none, then the dense view
            alone carries the points.
        min_depth_m: the inverse depth is sigmoid / min_depth_m.
    """

    encoder: str = "efficientnet_lite0"
    folded_norms: bool = True
    widths: tuple[int, ...] = (24, 32, 64, 96, 128)
    dense_widths: tuple[int, ...] = (24, 32, 48, 64, 64)
    sparse: bool = True
    sparse_widths: tuple[int, ...] = (16, 24, 32, 48, 64)
    sparse_kernels: tuple[int, ...] = (3, 3, 3, 3, 3)
    min_depth_m: float = 0.5

    def __post_init__(self) -> None:
        """Collect every problem, then raise ConfigError once."""
        problems = []
        if self.encoder not in SCALES:
            problems.append(f"encoder: expected one of {', '.join(SCALES)}, got {self.encoder!r}")
        for name in ("widths", "dense_widths", "sparse_widths", "sparse_kernels"):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)  # a list from YAML or JSON becomes a tuple
            if (len(values) != LEVELS and (values or name != "sparse_widths")) or not all(
                isinstance(v, int) and v > 0 for v in values
            ):
                problems.append(f"{name}: expected {LEVELS} positive integers, got {values}")
        if any(kernel % 2 == 0 for kernel in self.sparse_kernels):
            problems.append(f"sparse_kernels: expected odd sizes, got {self.sparse_kernels}")
        if not self.min_depth_m > 0.0:
            problems.append(f"min_depth_m: expected metres > 0, got {self.min_depth_m}")
        if problems:
            raise ConfigError("network configuration: " + "; ".join(problems))

    @property
    def size_step_px(self) -> int:
        """Height and width of images must be multiples of it."""
        return SIZE_STEP_PX

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for YAML, JSON and checkpoints; `from_dict` reads it back."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "LiteSanConfig":
        """Configuration from a dictionary; missing keys take the defaults, unknown keys raise ConfigError."""
        names = [field.name for field in fields(cls)]
        unknown = [key for key in values if key not in names]
        if unknown:
            hints = [f"{key!r} (near: {get_close_matches(str(key), names, 1) or 'nothing'})" for key in unknown]
            raise ConfigError(f"network configuration: unknown keys {', '.join(hints)}; known are {names}")
        return cls(**values)


def conv_elu(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution and ELU, without normalisation: it would take absolute depth away."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.ELU())


def ground_inv_depth(ground: Tensor, height: int, width: int) -> Tensor:
    """Inverse depth [B, 1, H, W] of the plane `a * column + b * row + c` (1/m); 0 beyond the horizon.

    Args:
        ground: float [B, 4]: a, b, c, and how sure the plane is: 1 where it was measured in this image, SURE_OF_MOUNT
            where the camera's mount promises it; all 0 where it is unknown.
        height, width: of the images, pixels.
    """
    rows = torch.arange(height, device=ground.device, dtype=ground.dtype).view(1, 1, -1, 1)
    columns = torch.arange(width, device=ground.device, dtype=ground.dtype).view(1, 1, 1, -1)
    a, b, c, _ = ground.view(-1, 4, 1, 1).split(1, dim=1)
    return (a * columns + b * rows + c).clamp_min(0.0)


class DenseView(nn.Module):
    """Filled points and ground at full size -> features at strides 2 to 32, to add to those of the image.

    The last convolutions start at zero: a network that gets points or a ground computes at first what it did without.
    """

    def __init__(self, dense_widths: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        inputs = (4 * DENSE_CHANNELS, *dense_widths[:-1])
        self.levels = nn.ModuleList(
            nn.Sequential(
                conv_elu(inputs[i], dense_widths[i], 2 if i else 1), conv_elu(dense_widths[i], dense_widths[i])
            )
            for i in range(LEVELS)
        )
        self.outputs = nn.ModuleList(nn.Conv2d(dense_widths[i], widths[i], 1) for i in range(LEVELS))
        for output in self.outputs:
            nn.init.zeros_(output.weight)
            nn.init.zeros_(output.bias)

    def forward(self, seen: Tensor) -> list[Tensor]:
        """[B, DENSE_CHANNELS, H, W] -> five maps [B, C, H / s, W / s]."""
        x = functional.pixel_unshuffle(seen, 2)
        maps = []
        for level, output in zip(self.levels, self.outputs, strict=True):
            x = level(x)
            maps.append(output(x))
        return maps


def dense_view_input(fill: Fill, has_points: Tensor, ground: Tensor) -> Tensor:
    """What DenseView sees, [B, DENSE_CHANNELS, H, W]; zeros for what is not known.

    Args:
        fill: of the points.
        has_points: bool [B].
        ground: float [B, 4], see `ground_inv_depth`.
    """
    some = has_points.to(fill.trust).view(-1, 1, 1, 1)
    of_points = [
        10.0 * fill.inv_depth * some,
        torch.log(20.0 * fill.inv_depth.clamp_min(1e-4)) * some,
        fill.trust,
        10.0 * fill.own_inv_depth,
        (fill.own_inv_depth > 0).to(fill.trust),
    ]
    plane = ground_inv_depth(ground, fill.trust.shape[2], fill.trust.shape[3])
    sure = ground[:, 3].to(fill.trust).view(-1, 1, 1, 1) + torch.zeros_like(fill.trust)
    return torch.cat([*of_points, 10.0 * plane, sure], dim=1)


def has_ground(ground: Tensor) -> Tensor:
    """Which images [B] have a known plane, from float [B, 4]."""
    return ground[:, 3] > 0


class LiteFeatures(NamedTuple):
    """What the decoder works on.

    Attributes:
        skips: five maps [B, C, H / s, W / s], s = 2..32.
        rgb: the images.
        fill: what the points say, and in which images there are some (bool [B]); None without points.
    """

    skips: tuple[Tensor, ...]
    rgb: Tensor
    fill: tuple[Fill, Tensor] | None = None


class Decoded(NamedTuple):
    """What the network says of its images.

    Attributes:
        inv_depths: four of [B, 1, H / 2^s, W / 2^s], s = 0..3, finest first, in 1/m.
        log_spread: [B, 1, H, W], natural log of the scale of a Laplace distribution of the log depth around it.
        sky_logit: [B, 1, H, W], more than 0 where the pixel is more likely sky than anything else.
    """

    inv_depths: tuple[Tensor, ...]
    log_spread: Tensor
    sky_logit: Tensor


class LiteSan(nn.Module):
    """See the module. `forward` is `decode(fuse(encode(rgb), points, ground))`.

    Attributes:
        coarser_heads: how the names of weights begin that the finest depth does not depend on.
    """

    coarser_heads = tuple(f"heads.{number}." for number in range(1, HEADS))

    def __init__(self, config: LiteSanConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.encoder = EfficientNetLite(config.encoder, config.folded_norms)
        taps = tap_channels(config.encoder)
        self.laterals = nn.ModuleList(nn.Conv2d(taps[i] + 2, widths[i], 1) for i in range(LEVELS))
        self.context = nn.Linear(widths[-1], widths[-1])
        deeper = (*widths[1:], 0)
        self.merges = nn.ModuleList(
            nn.Sequential(conv_elu(widths[i] + deeper[i], widths[i]), conv_elu(widths[i], widths[i]))
            for i in range(LEVELS)
        )
        self.heads = nn.ModuleList(nn.Conv2d(widths[i], 4, 3, padding=1) for i in range(HEADS))
        # sky, spread, spread with points, share of the fill
        self.other_heads = nn.Conv2d(widths[0], 4 * 4, 3, padding=1)
        for head in (*self.heads, self.other_heads):
            nn.init.zeros_(head.weight)
            nn.init.constant_(head.bias, START_LOGIT)
        with torch.no_grad():
            self.other_heads.bias[4:12] = START_LOG_SPREAD
            self.other_heads.bias[12:] = 0.0  # half of the fill
        if config.sparse:
            self.dense_view = DenseView(config.dense_widths, widths)
            if config.sparse_widths:
                self.sparse_branch = SparseBranch(config.sparse_widths, config.sparse_kernels, 1, "inverse")
                self.fusions = nn.ModuleList(
                    nn.Conv2d(config.sparse_widths[i], widths[i], 1, bias=False) for i in range(LEVELS)
                )
                for fusion in self.fusions:
                    nn.init.zeros_(fusion.weight)

    def encode(self, rgb: Tensor) -> LiteFeatures:
        """Image features.

        Args:
            rgb: float [B, 3, H, W] in 0..1; H and W multiples of 32.

        Raises:
            ConfigError: the size does not fit.
        """
        if not torch.jit.is_tracing() and (rgb.ndim != 4 or rgb.shape[2] % SIZE_STEP_PX or rgb.shape[3] % SIZE_STEP_PX):
            raise ConfigError(
                f"rgb: expected [B, 3, H, W] with H and W multiples of {SIZE_STEP_PX}, got {tuple(rgb.shape)}; "
                "resize or pad the image (and its camera) first"
            )
        skips = []
        for stride, (tap, lateral) in zip(
            (2, 4, 8, 16, 32), zip(self.encoder(rgb), self.laterals, strict=True), strict=True
        ):
            skips.append(lateral(torch.cat([tap, _coordinates(tap, stride)], dim=1)))
        return LiteFeatures(tuple(skips), rgb)

    def fuse(self, features: LiteFeatures, points: SparsePoints, ground: Tensor | None = None) -> LiteFeatures:
        """Add what points and ground say to the features of the images that have some; the others stay as they are.

        Args:
            features: of `encode`.
            points: sparse depth of the batch.
            ground: float [B, 4], see `ground_inv_depth`; None where nothing is known of any.

        Raises:
            ConfigError: the network only predicts.
        """
        if not self.config.sparse:
            raise ConfigError("points: this network only predicts (its configuration has sparse=False); pass None")
        batch, _, height, width = features.rgb.shape
        points = valid_points(points, batch, height, width)
        if ground is None:
            ground = torch.zeros((batch, 4), dtype=points.depth_m.dtype, device=points.depth_m.device)
        with torch.autocast(device_type=points.depth_m.device.type, enabled=False):  # metres need float32
            image = points.bvu[:, 0]
            has_points = torch.zeros(batch, dtype=torch.int64, device=image.device)
            has_points = has_points.scatter(0, image, torch.ones_like(image)) > 0
            fill = edge_aware_fill(points, features.rgb)
            added = self.dense_view(dense_view_input(fill, has_points, ground))
            if self.config.sparse_widths:
                _, maps = self.sparse_branch(points, batch, height, width)
                added = [
                    one + fusion(of_points) for one, fusion, of_points in zip(added, self.fusions, maps, strict=True)
                ]
        choose = (has_points | has_ground(ground)).view(-1, 1, 1, 1)
        skips = (torch.where(choose, skip + new, skip) for skip, new in zip(features.skips, added, strict=True))
        return LiteFeatures(tuple(skips), features.rgb, (fill, has_points))

    def decode(self, features: LiteFeatures) -> Decoded:
        """Depth, its spread, and the sky."""
        deepest = features.skips[-1]
        x = self.merges[-1](deepest + self.context(deepest.mean((2, 3))).unsqueeze(-1).unsqueeze(-1))
        inv_depths: list[Tensor] = []
        for i in range(LEVELS - 2, -1, -1):
            above = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.merges[i](torch.cat([above, features.skips[i]], dim=1))
            if i < HEADS:
                inv_depths.insert(0, self._inv_depth(self.heads[i], x))
        with torch.autocast(device_type=x.device.type, enabled=False):
            others = functional.pixel_shuffle(self.other_heads(x.to(self.other_heads.weight.dtype)), 2)
        sky, spread, spread_with_points, share = others.split(1, dim=1)
        if features.fill is not None:
            fill, has_points = features.fill
            choose = has_points.view(-1, 1, 1, 1)
            own, given = torch.log(inv_depths[0]), torch.log(fill.inv_depth.clamp_min(1e-4))
            mixed = torch.exp(own + torch.sigmoid(share) * (given - own))
            inv_depths[0] = torch.where(choose, mixed, inv_depths[0])
            spread = torch.where(choose, spread_with_points, spread)
        return Decoded(tuple(inv_depths), spread, sky)

    def _inv_depth(self, head: nn.Module, x: Tensor) -> Tensor:
        """Far depths need the weights' float32, whatever a caller's autocast says."""
        with torch.autocast(device_type=x.device.type, enabled=False):
            return torch.sigmoid(functional.pixel_shuffle(head(x.to(head.weight.dtype)), 2)) / self.config.min_depth_m

    def forward(self, rgb: Tensor, points: SparsePoints | None = None, ground: Tensor | None = None) -> Decoded:
        """Depth of a batch of images.

        Args:
            rgb: float [B, 3, H, W] in 0..1; H and W multiples of 32.
            points: sparse depth of the batch; None predicts, as does a batch without any valid point.
            ground: float [B, 4], see `ground_inv_depth`; None or zeros where it is unknown.
        """
        features = self.encode(rgb)
        if points is not None or ground is not None:
            nothing = SparsePoints(torch.zeros((0, 3), dtype=torch.int64, device=rgb.device), rgb.new_zeros(0))
            features = self.fuse(features, points or nothing, ground)
        return self.decode(features)


def _coordinates(like: Tensor, stride: int) -> Tensor:
    """Column and row of every cell from the image's centre, [B, 2, H, W], in units of COORDINATE_PX pixels.

    How far below the middle a pixel lies tells how far away the ground is there; a convolution knows it from the border
    alone, which is elsewhere in an image of another shape.
    """
    height, width = like.shape[2], like.shape[3]
    rows = torch.arange(height, device=like.device, dtype=like.dtype) - 0.5 * (height - 1)
    columns = torch.arange(width, device=like.device, dtype=like.dtype) - 0.5 * (width - 1)
    zeros = torch.zeros_like(like[:, :1])
    return torch.cat([zeros + columns.view(1, 1, 1, -1), zeros + rows.view(1, 1, -1, 1)], dim=1) * (
        stride / COORDINATE_PX
    )
