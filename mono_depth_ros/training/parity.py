# SPDX-License-Identifier: Apache-2.0
"""Compares an exported graph in ONNX Runtime with its network in torch, number by number."""

import copy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.networks.depth_network import DepthNetwork
from mono_depth_ros.networks.lite_san import SURE_OF_MOUNT, LiteSan
from mono_depth_ros.training.dial_graph import ExportGraph, LiteGraph

POINT_COUNTS = (0, 1, 100, 5000)
ABSOLUTE_LIMIT_M = 1e-3
RELATIVE_LIMIT = 1e-4
BESIDE_LIMIT = 1e-3  # of the spread of the log depth, and of the probability of sky


@dataclass(frozen=True, slots=True)
class ParityCase:
    """Torch against ONNX Runtime on one input.

    Attributes:
        name: what the input was.
        error_m: largest absolute difference of depth in metres, over depths up to the model's max_depth_m.
        relative_error: largest difference divided by the depth, over all pixels.
        depth_range_m: smallest and largest depth of the torch network.
        beside: largest difference of the spread of the log depth and of the probability of sky, where they are told.
        passed: whether every pixel is within 1 mm + 1e-4 * depth, and the others within 1e-3.
    """

    name: str
    error_m: float
    relative_error: float
    depth_range_m: tuple[float, float]
    beside: float
    passed: bool


def example_input(
    rng: np.random.Generator, shape: tuple[int, int, int], count: int, first_image: int = 0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """A smooth random batch [B, H, W] of images with `count` points from image `first_image` on; a fifth is padding."""
    batch, height, width = shape
    coarse = torch.from_numpy(rng.uniform(0.0, 255.0, (batch, 3, 6, 10)))
    smooth = functional.interpolate(coarse, size=(height, width), mode="bicubic").permute(0, 2, 3, 1).numpy()
    rgb = np.clip(smooth + rng.normal(0.0, 8.0, smooth.shape), 0, 255).astype(np.uint8)
    pixels = height * width
    cells = first_image * pixels + rng.permutation((batch - first_image) * pixels)[:count]
    points_bvu = np.stack([cells // pixels, cells // width % height, cells % width], axis=1).astype(np.int64)
    depth_m = np.exp(rng.uniform(np.log(1.0), np.log(80.0), len(cells))).astype(np.float32)
    depth_m[4::5] = 0.0
    return rgb, points_bvu, depth_m


def example_ground(batch: int, height: int) -> npt.NDArray[np.float32]:
    """Planes float32 [B, 4], the first unknown, the others under a camera that looks ahead."""
    ground = np.zeros((batch, 4), np.float32)
    ground[1:] = 0.0, 0.8 / height, -0.4, SURE_OF_MOUNT
    return ground


def compare_with_torch(network: DepthNetwork, engine: OnnxEngine) -> tuple[ParityCase, ...]:
    """Depth from torch and ONNX Runtime for several numbers of points, and for a batch with points in one image.

    A graph of any size is compared at three, with and without a ground.

    Torch computes in float64: in float32 it may itself be off by more than the limit (with local contrast as input by
    1.3 of it once, where ONNX Runtime was off by 0.4).
    """
    copied = copy.deepcopy(network).double()
    graph = (LiteGraph(copied) if isinstance(copied, LiteSan) else ExportGraph(copied)).eval()
    rng = np.random.default_rng(1)
    contract = engine.contract
    one = (1, contract.height_px, contract.width_px)
    inputs = {f"{count} points": example_input(rng, one, count) for count in POINT_COUNTS}
    inputs["2 images, points in the second"] = example_input(rng, (2, *one[1:]), 300, first_image=1)
    if contract.size_step_px:
        tall, small = (1, one[2], one[1]), (1, 2 * contract.size_step_px, 3 * contract.size_step_px)
        inputs |= {f"{shape[2]}x{shape[1]}": example_input(rng, shape, 200) for shape in (tall, small)}
    cases = []
    for name, arrays in inputs.items():
        with torch.no_grad():
            given = tuple(torch.from_numpy(array) for array in arrays)
            if isinstance(graph, LiteGraph):
                ground = example_ground(len(arrays[0]), arrays[0].shape[1])
                expected, sigma, sky = (value.numpy() for value in graph(*given, torch.from_numpy(ground)))
                found = engine.infer_all(*arrays, ground)
                assert found.sigma_log is not None and found.sky is not None  # the contract says that it tells them
                beside = max(
                    float(np.abs(found.sigma_log / contract.sigma_factor - sigma).max()),
                    float(np.abs(found.sky - sky).max()),
                )
                depth_m = found.depth_m
            else:
                expected, depth_m, beside = graph(*given).numpy(), engine.infer(*arrays), 0.0
        difference = np.abs(depth_m - expected)
        in_range = expected <= contract.max_depth_m
        close = bool((difference <= ABSOLUTE_LIMIT_M + RELATIVE_LIMIT * expected).all())
        cases.append(
            ParityCase(
                name=name,
                error_m=float(difference[in_range].max(initial=0.0)),
                relative_error=float((difference / expected).max()),
                depth_range_m=(float(expected.min()), float(expected.max())),
                beside=beside,
                passed=close and beside <= BESIDE_LIMIT,
            )
        )
    return tuple(cases)
