# SPDX-License-Identifier: Apache-2.0
"""Exact sparse convolution and pooling of an image grid, in plain tensor operations.

A sparse grid is a list of valid cells with one feature row each. An operation writes the row numbers of the cells on
the image grid, reads the k x k neighbours of every cell back, gathers their feature rows and does one matrix product.
Cells exist in the output only where they exist in the input, so the cost grows with the number of points, not with the
image. Everything exports to ONNX with a dynamic number of cells, zero included.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

# Statistics of fewer cells than this are noise; see ValidCellBatchNorm.
MIN_CELLS_FOR_BATCH_STATISTICS = 16
ENCODED_CHANNELS = {"depth": 1, "inverse": 3, "log": 2}  # see SparseBranch
RUNNING_SHARE = 0.03  # of a batch in the running statistics
MAX_STRETCH, MAX_SHIFT = 4.0, 4.0  # limits of batch renormalisation


@dataclass(frozen=True, slots=True)
class SparsePoints:
    """Depth at some pixels of a batch of images: the input of the sparse branch.

    Entries with a depth that is not a positive finite number, or outside the batch of images, are padding and change
    nothing. A pixel must not occur twice; `geometry.sparse_depth` keeps the nearest of several points.

    Attributes:
        bvu: int64 [N, 3], image in the batch, row and column at network resolution.
        depth_m: float32 [N], metres along the camera axis.
    """

    bvu: Tensor
    depth_m: Tensor

    @classmethod
    def from_dense(cls, depth_m: Tensor) -> "SparsePoints":
        """Points of float [B, 1, H, W] depth maps; pixels that are not > 0 (0, NaN) are left out."""
        maps = depth_m[:, 0]
        bvu = torch.nonzero(maps > 0)
        return cls(bvu, maps[bvu[:, 0], bvu[:, 1], bvu[:, 2]])


def valid_points(points: SparsePoints, batch: int, height: int, width: int) -> SparsePoints:
    """The points without the padding, at least float32; see SparsePoints."""
    valid = (points.depth_m > 0) & (points.depth_m < float("inf"))
    for axis, size in enumerate((batch, height, width)):
        valid = valid & (points.bvu[:, axis] >= 0) & (points.bvu[:, axis] < size)
    kept = torch.nonzero(valid)[:, 0]
    return SparsePoints(
        points.bvu[kept], points.depth_m[kept].to(torch.promote_types(points.depth_m.dtype, torch.float32))
    )


@dataclass(frozen=True, slots=True)
class SparseGrid:
    """Features at the valid cells of a batch of image grids.

    Attributes:
        features: float [N, C], one row per valid cell.
        cells: int64 [N, 3], batch, row, column; every cell at most once.
        batch: number of images B.
        height: rows H of the grid.
        width: columns W of the grid.
    """

    features: Tensor
    cells: Tensor
    batch: int
    height: int
    width: int

    def to_dense(self) -> Tensor:
        """float [B, C, H, W], zero where a cell is not valid."""
        rows = (self.cells[:, 0] * self.height + self.cells[:, 1]) * self.width + self.cells[:, 2]
        channels = self.features.shape[1]
        dense = self.features.new_zeros((self.batch * self.height * self.width, channels))
        dense = dense.index_put((rows,), self.features)
        return dense.view(self.batch, self.height, self.width, channels).permute(0, 3, 1, 2)


def neighbour_rows(grid: SparseGrid, centres: Tensor, kernel_size: int) -> Tensor:
    """Where to find the neighbours of some cells in the feature rows of a grid.

    Args:
        grid: the grid that is read.
        centres: int64 [M, 3], batch, row and column of the window centres on that grid.
        kernel_size: odd window size k.

    Returns:
        int64 [M, k*k], 1 + feature row of the neighbour, 0 where there is none; the column offset runs fastest.
    """
    radius = kernel_size // 2
    stride_v = grid.width + 2 * radius  # a border as wide as the radius: no window leaves the padded grid
    stride_b = (grid.height + 2 * radius) * stride_v
    corner = radius * stride_v + radius

    def numbers(cells: Tensor) -> Tensor:
        return cells[:, 0] * stride_b + cells[:, 1] * stride_v + cells[:, 2] + corner

    count = grid.cells.shape[0]
    row_numbers = torch.arange(1, count + 1, device=centres.device)
    on_grid = torch.zeros(grid.batch * stride_b, dtype=torch.int64, device=centres.device)
    on_grid = on_grid.scatter(0, numbers(grid.cells), row_numbers)

    reach = torch.arange(-radius, radius + 1, device=centres.device)
    offsets = (reach.unsqueeze(1) * stride_v + reach).flatten()
    return on_grid[numbers(centres).unsqueeze(1) + offsets]


def gather_rows(features: Tensor, rows: Tensor, missing: float) -> Tensor:
    """Feature rows [M, K, C] of row numbers [M, K] that count from 1; number 0 reads the value `missing`."""
    padded = functional.pad(features, (0, 0, 1, 0), value=missing)
    return functional.embedding(rows, padded)  # its backward pass is much faster on CPU than that of indexing


def max_pool(grid: SparseGrid) -> SparseGrid:
    """Halve a grid: maximum over the valid cells of each 3 x 3 window.

    An output cell (i, j) exists where the 2 x 2 cells {2i, 2i+1} x {2j, 2j+1} hold a valid one. Its value is the
    maximum over the valid cells of the 3 x 3 window around (2i, 2j), which reaches one row and column further up and
    left. Cells that are missing are ignored, so a negative maximum survives. Odd sizes round up.
    """
    height, width = (grid.height + 1) // 2, (grid.width + 1) // 2
    coarse = torch.stack([grid.cells[:, 0], grid.cells[:, 1] // 2, grid.cells[:, 2] // 2], dim=1)
    numbers = coarse[:, 0] * (height * width) + coarse[:, 1] * width + coarse[:, 2]
    occupied = torch.zeros(grid.batch * height * width, dtype=torch.int64, device=coarse.device)
    occupied = occupied.scatter(0, numbers, torch.ones_like(numbers))
    flat = torch.nonzero(occupied)[:, 0]
    cells = torch.stack([flat // (height * width), flat // width % height, flat % width], dim=1)

    centres = cells * torch.tensor([1, 2, 2], device=cells.device)
    windows = gather_rows(grid.features, neighbour_rows(grid, centres, 3), missing=float("-inf"))
    return SparseGrid(windows.amax(dim=1), cells, grid.batch, height, width)


class SparseConv2d(nn.Module):
    """Convolution of the valid cells with the valid cells around them, as conv2d with zero padding, no bias.

    Equals `conv2d(x * mask, W, padding=k // 2) * mask` with `weight[(dv * k + du) * Cin + i, o] = W[o, i, dv, du]`.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        fan_in = kernel_size * kernel_size * in_channels
        self.weight = nn.Parameter(torch.empty(fan_in, out_channels).uniform_(-(fan_in**-0.5), fan_in**-0.5))

    def forward(self, features: Tensor, rows: Tensor) -> Tensor:
        """Features [N, Cin] and neighbour rows [N, k*k] -> features [N, Cout]."""
        return gather_rows(features, rows, missing=0.0).flatten(1) @ self.weight


def batch_statistics(features: Tensor) -> tuple[Tensor, Tensor, int]:
    """Mean [C], biased variance [C] and number of the rows of features [N, C], over all processes of a DDP run.

    Processes then normalise as one with the whole batch would; the gradient flows to every process's features.
    """
    count = features.shape[0]
    many = distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
    if not many:
        if not count:
            return features.new_zeros(features.shape[1]), features.new_zeros(features.shape[1]), 0
        return features.mean(0), features.var(0, unbiased=False), count
    from torch.distributed.nn.functional import all_reduce as sum_over_processes

    counts = torch.tensor(count, device=features.device)
    distributed.all_reduce(counts)
    total = int(counts)
    mean = sum_over_processes(features.sum(0)) / max(total, 1)
    variance = sum_over_processes((features - mean).square().sum(0)) / max(total, 1)
    return mean, variance, total


class ValidCellBatchNorm(nn.Module):
    """Batch normalisation over the valid cells of a whole batch; in training, batch renormalisation (Ioffe 2017).

    The few images of a batch share no common mean depth: dividing by their own statistics would hide the absolute depth
    that the points carry. So the values are those of the running statistics, in training as in use, and only the
    gradient is that of batch normalisation. The correction is limited, which matters while those statistics are young.

    A batch with fewer than `MIN_CELLS_FOR_BATCH_STATISTICS` valid cells (possibly none) is normalised by the running
    statistics and leaves them alone: so few cells have no usable variance.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, features: Tensor) -> Tensor:
        """[N, C] -> [N, C]."""
        norm = self.norm
        if self.training:
            mean, variance, count = batch_statistics(features)
            if count >= MIN_CELLS_FOR_BATCH_STATISTICS:
                return self._renormalised(features, mean, variance)
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        return features * scale + (norm.bias - norm.running_mean * scale)

    def _renormalised(self, features: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        norm = self.norm
        deviation = torch.sqrt(variance + norm.eps)
        with torch.no_grad():
            norm.num_batches_tracked += 1
            share = max(RUNNING_SHARE, 1.0 / float(norm.num_batches_tracked))
            norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
            norm.running_var.lerp_(variance.to(norm.running_var.dtype), share)
            running_deviation = torch.sqrt(norm.running_var + norm.eps)
            stretch = (deviation / running_deviation).clamp(1.0 / MAX_STRETCH, MAX_STRETCH)
            shift = ((mean - norm.running_mean) / running_deviation).clamp(-MAX_SHIFT, MAX_SHIFT)
        return ((features - mean) / deviation * stretch + shift) * norm.weight + norm.bias


class SparseLevel(nn.Module):
    """Pool, then three parallel chains of one, two and three convolutions, summed, normalised and rectified.

    With C output channels and hidden width H = factor * C, and N for ValidCellBatchNorm + ReLU:
    `out = N(conv(x) + conv(N(conv(x))) + conv(N(conv(N(conv(x))))))`, the channels being C, H-C and H-H-C. Convolutions
    that read the same cells are done in one matrix product: `expand` holds the first of each chain, `merge` the last of
    the second and the third, whose sum it is.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, hidden_factor: int) -> None:
        super().__init__()
        hidden = hidden_factor * out_channels
        self.kernel_size = kernel_size
        self.splits = [out_channels, 2 * hidden]
        self.expand = SparseConv2d(in_channels, out_channels + 2 * hidden, kernel_size)
        self.expand_norm = ValidCellBatchNorm(2 * hidden)
        self.hidden = SparseConv2d(hidden, hidden, kernel_size)
        self.hidden_norm = ValidCellBatchNorm(hidden)
        self.merge = SparseConv2d(2 * hidden, out_channels, kernel_size)
        self.final_norm = ValidCellBatchNorm(out_channels)

    def forward(self, grid: SparseGrid) -> SparseGrid:
        """Grid [N, Cin] at H x W -> grid [M, C] at H/2 x W/2."""
        pooled = max_pool(grid)
        rows = neighbour_rows(pooled, pooled.cells, self.kernel_size)
        direct, first = self.expand(pooled.features, rows).split(self.splits, dim=1)
        second_chain, third_chain = functional.relu(self.expand_norm(first)).chunk(2, dim=1)
        third_chain = functional.relu(self.hidden_norm(self.hidden(third_chain, rows)))
        total = direct + self.merge(torch.cat([second_chain, third_chain], dim=1), rows)
        features = functional.relu(self.final_norm(total))
        return SparseGrid(features, pooled.cells, pooled.batch, pooled.height, pooled.width)


class SparseBranch(nn.Module):
    """Sparse depth -> dense feature maps at strides 2, 4, ... (one per level), in cells of `grid_stride` pixels.

    `encoding` says what the network sees of a depth d:
        "depth": d itself in metres. The pooling then keeps the farthest point of a window, as in the original.
        "inverse": (10 / d, log(20 / d), 1). The pooling keeps the nearest point.
        "log": (log(20 / d), 1). The same, and a metre counts the less the farther it is.
    """

    def __init__(
        self, widths: tuple[int, ...], kernels: tuple[int, ...], hidden_factor: int, encoding: str, grid_stride: int = 1
    ) -> None:
        """`grid_stride` 2 pools the points once before the first level, whose features are at stride 4 then."""
        super().__init__()
        self.encoding, self.grid_stride = encoding, grid_stride
        inputs = (ENCODED_CHANNELS[encoding], *widths[:-1])
        self.levels = nn.ModuleList(
            SparseLevel(inputs[i], widths[i], kernels[i], hidden_factor) for i in range(len(widths))
        )

    def encode(self, depth_m: Tensor) -> Tensor:
        """Positive depths [N] in metres -> features [N, ENCODED_CHANNELS]."""
        if self.encoding == "depth":
            return depth_m.unsqueeze(1)
        features = [torch.log(20.0 / depth_m), torch.ones_like(depth_m)]
        return torch.stack([10.0 / depth_m, *features] if self.encoding == "inverse" else features, dim=1)

    def forward(self, points: SparsePoints, batch: int, height: int, width: int) -> tuple[Tensor, list[Tensor]]:
        """Sparse features of a batch.

        Args:
            points: the points, see SparsePoints.
            batch, height, width: number and size of the images.

        Returns:
            bool [B], which images have at least one valid point, and per level float32 [B, C, H / 2^l, W / 2^l] (H, W
            in cells), zero where the level has no cell.
        """
        points = valid_points(points, batch, height, width)
        image = points.bvu[:, 0]
        has_points = torch.zeros(batch, dtype=torch.int64, device=image.device)
        has_points = has_points.scatter(0, image, torch.ones_like(image)) > 0

        # Metres do not survive eight bits of mantissa: the branch computes in float32 whatever the caller's autocast
        # says.
        with torch.autocast(device_type=image.device.type, enabled=False):
            grid = SparseGrid(self.encode(points.depth_m), points.bvu, batch, height, width)
            if self.grid_stride == 2:
                grid = max_pool(grid)
            maps = []
            for level in self.levels:
                grid = level(grid)
                maps.append(grid.to_dense())
        return has_points, maps
