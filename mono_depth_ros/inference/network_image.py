# SPDX-License-Identifier: Apache-2.0
"""The image as a network is given it, and what the network says of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.inference.contract import MAX_SIDE_PX, ModelContract
from mono_depth_ros.inference.engine import Inferred
from mono_depth_ros.perception.snapshot import RgbImage


class Engine(Protocol):
    """What the pipeline needs of an engine; OnnxEngine is one, a test's stand-in another."""

    contract: ModelContract

    def infer(
        self,
        rgb: npt.NDArray[np.uint8],
        points_bvu: npt.NDArray[np.int64],
        points_depth_m: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]: ...

    def infer_all(
        self,
        rgb: npt.NDArray[np.uint8],
        points_bvu: npt.NDArray[np.int64],
        points_depth_m: npt.NDArray[np.float32],
        ground: npt.NDArray[np.float32] | None = None,
    ) -> Inferred: ...


@dataclass(frozen=True, slots=True)
class FitToNetwork:
    """How one image was brought to network resolution.

    Attributes:
        image_rgb: uint8 [H, W, 3] at network resolution.
        camera: intrinsics of that image.
        focal_ratio: metres of the world per metre of the network (focal normalisation); 1 without it.
        ground: float64 [4], a, b, c and how sure: the ground's inverse depth in 1/m is a * column + b * row + c in the
            image; None where it is unknown.
    """

    image_rgb: RgbImage
    camera: PinholeCamera
    focal_ratio: float
    ground: npt.NDArray[np.float64] | None = None


class NetworkDepth(NamedTuple):
    """What a network says of one image.

    Attributes:
        depth_m: float32 [H, W], metres along z, every pixel filled.
        sigma_log: float32 [H, W], standard deviation of the natural log of the depth; None if it tells none.
        sky: float32 [H, W], probability of the sky; None if it tells none.
    """

    depth_m: DepthMap
    sigma_log: npt.NDArray[np.float32] | None = None
    sky: npt.NDArray[np.float32] | None = None


def fit_to_network(image_rgb: RgbImage, camera: PinholeCamera, contract: ModelContract) -> FitToNetwork:
    """Brings an image to network resolution, and the camera with it; the whole image stays in view.

    For a network of one size it is stretched, and the intrinsics tell how. For a network of any size its pixels are
    made square.
    """
    width, height = network_size(camera, contract)
    resized_camera = camera.resized(width, height)
    shrinks = width * height < camera.width_px * camera.height_px
    resized = image_rgb
    if image_rgb.shape[:2] != (height, width):
        resized = cv2.resize(image_rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    ratio = 1.0 if contract.trained_fx_px is None else resized_camera.fx_px / contract.trained_fx_px
    return FitToNetwork(np.ascontiguousarray(resized), resized_camera, ratio)


def network_size(camera: PinholeCamera, contract: ModelContract) -> tuple[int, int]:
    """Width and height of the image that the network is given.

    A network of one size gets that; one of any size keeps the ratio of sides, with about as many pixels as the
    contract says. A network of others is given sides that it can take; a dial graph gets square pixels, and
    ``infer_batch`` pads its image to what it can take: one side fits, so that little has to be added.
    """
    step = contract.free_size_step_px
    if not step:
        return contract.width_px, contract.height_px
    pixels = contract.width_px * contract.height_px
    if contract.image is not None:
        aspect = camera.width_px / camera.height_px
        height = (pixels / aspect) ** 0.5
        return max(step, round(height * aspect / step) * step), max(step, round(height / step) * step)
    aspect = camera.width_px * camera.fy_px / (camera.height_px * camera.fx_px)
    around = np.arange(1, MAX_SIDE_PX // step + 1) * step
    of_width = [(int(width), max(1, round(width / aspect))) for width in around]
    of_height = [(max(1, round(height * aspect)), int(height)) for height in around]
    return min([*of_width, *of_height], key=lambda size: _unfit(size, step, pixels))


def _unfit(size: tuple[int, int], step: int, pixels: int) -> float:
    """How bad a size is: the log of how many more or less pixels than wanted are computed, and the share of padding."""
    width, height = size
    computed = -(-width // step) * -(-height // step) * step * step
    return abs(float(np.log(computed / pixels))) + 4.0 * (1.0 - width * height / computed)


def infer_depth(engine: Engine, fit: FitToNetwork, sparse: SparseDepth | None) -> DepthMap:
    """Runs the network on one image; float32 [H, W], metres along z, every pixel filled."""
    return infer_batch(engine, [(fit, sparse)])[0].depth_m


def infer_batch(engine: Engine, images: Sequence[tuple[FitToNetwork, SparseDepth | None]]) -> list[NetworkDepth]:
    """Runs the network on images of one size at once, each with its own points or none.

    Focal normalisation: the network sees every camera as one of ``trained_fx_px``. An image with twice the focal
    length shows things twice as near, so the network's metres are multiplied by the ratio of focal lengths, and the
    points are divided by it before.

    Where a side does not fit a network of any size, the image's border is repeated beyond it.

    Returns:
        What the network says of each, at the size of its ``fit``.
    """
    points_bvu = [np.zeros((0, 3), np.int64)]
    points_depth_m = [np.zeros(0, np.float32)]
    for number, (fit, sparse) in enumerate(images):
        if sparse is not None:
            points_bvu.append(np.stack([np.full_like(sparse.rows, number), sparse.rows, sparse.cols], axis=1))
            points_depth_m.append(sparse.depth_m / np.float32(fit.focal_ratio))
    rgb = np.stack([fit.image_rgb for fit, _ in images])
    height, width = rgb.shape[1:3]
    if step := engine.contract.size_step_px:
        rgb = np.pad(rgb, ((0, 0), (0, -height % step), (0, -width % step), (0, 0)), mode="edge")
    asked = rgb, np.concatenate(points_bvu), np.concatenate(points_depth_m)
    if engine.contract.tells_sigma:
        said = engine.infer_all(*asked, np.stack([_network_ground(fit) for fit, _ in images]))
    else:
        said = Inferred(engine.infer(*asked))
    return [
        NetworkDepth(
            said.depth_m[number, :height, :width] * np.float32(fit.focal_ratio),
            None if said.sigma_log is None else said.sigma_log[number, :height, :width],
            None if said.sky is None else said.sky[number, :height, :width],
        )
        for number, (fit, _) in enumerate(images)
    ]


def _network_ground(fit: FitToNetwork) -> npt.NDArray[np.float32]:
    """The ground in the network's units, float32 [4]; zeros where it is unknown."""
    if fit.ground is None:
        return np.zeros(4, np.float32)
    return (fit.ground * [fit.focal_ratio, fit.focal_ratio, fit.focal_ratio, 1.0]).astype(np.float32)
