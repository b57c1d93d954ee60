# SPDX-License-Identifier: Apache-2.0
"""The depth that each method gives for one sample, on the grid of its truth."""

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np

from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.datasets.sparse_patterns import SparsePattern, apply_pattern
from mono_depth_ros.errors import DataError
from mono_depth_ros.evaluation.baselines import classical_depth, nearest_point_depth
from mono_depth_ros.evaluation.protocol_steps import (
    bottom_centre_window,
    flip_averaged,
    placed_bottom_centre,
    resampled,
    resized_to,
)
from mono_depth_ros.evaluation.protocols import Fit, Grid, Preparation, Protocol, Resize
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.sparse_depth import SparseDepth, project_points
from mono_depth_ros.inference.completion import through_points
from mono_depth_ros.inference.network_image import (
    Engine,
    FitToNetwork,
    NetworkDepth,
    fit_to_network,
    infer_batch,
    infer_depth,
)

PUBLISHED = "published"
PREDICTION = "prediction"
PREDICTION_MEDIAN_SCALED = "prediction_median_scaled"
COMPLETION = "completion"
COMPLETION_NETWORK = "completion_network"
NEAREST = "nearest"
CLASSICAL = "classical"
# In the order of tables.
NETWORK_METHODS = (PREDICTION, PREDICTION_MEDIAN_SCALED, COMPLETION, COMPLETION_NETWORK, NEAREST, CLASSICAL)
METHODS = (PUBLISHED, *NETWORK_METHODS)

_NYU_SHAPE = (480, 640)
_NYU_TOP, _NYU_LEFT, _NYU_CROP = 6, 8, (228, 304)  # in pixels of half size
_FARTHEST_M = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class NetworkDepths:
    """What the network gave for one sample.

    Attributes:
        fit: how the image was brought to its size.
        predicted_m: float32 [h, w], without points.
        given: the points it completed with; None if the sample has none in view, or the model only predicts.
        completed_m: float32 [h, w], as the network gave it; None with `given`.
        predicted_sigma_log, completed_sigma_log: float32 [h, w], standard deviation of the log of these depths; None
            where the network tells none, or two of its answers were averaged.
    """

    fit: FitToNetwork
    predicted_m: DepthMap
    given: SparseDepth | None
    completed_m: DepthMap | None
    predicted_sigma_log: DepthMap | None = None
    completed_sigma_log: DepthMap | None = None


def prepared(sample: DepthSample, protocol: Protocol) -> DepthSample:
    """The sample as the protocol wants it: its size, and points where it has none.

    Raises:
        DataError: the sample has another size than the preparation is made for, or no truth to draw points from.
    """
    if protocol.preparation is Preparation.NYU_HALF:
        sample = _nyu_half(sample)
    if protocol.random_points and sample.points_camera_m is None:
        sample = apply_pattern(sample, SparsePattern("random", protocol.random_points))
    return sample


def run_network(sample: DepthSample, engine: Engine, protocol: Protocol) -> NetworkDepths:
    """Prediction and, with points in view, completion of one sample.

    Raises:
        DataError: the image is smaller than the network, and the protocol crops.
    """
    stretches = protocol.fit is Fit.STRETCH
    fit = fit_to_network(sample.image_rgb, sample.camera, engine.contract) if stretches else _cropped(sample, engine)
    predicted = _infer(engine, fit, None, protocol)
    given = None
    if engine.contract.completes and sample.points_camera_m is not None:
        in_view = project_points(sample.points_camera_m, fit.camera)
        given = in_view if len(in_view) else None
    completed = None if given is None else _infer(engine, fit, given, protocol)
    return NetworkDepths(
        fit,
        predicted.depth_m,
        given,
        None if completed is None else completed.depth_m,
        predicted.sigma_log,
        None if completed is None else completed.sigma_log,
    )


def method_depths(
    sample: DepthSample,
    truth_camera: PinholeCamera,
    sparse: SparseDepth,
    network: NetworkDepths | None,
    protocol: Protocol,
) -> dict[str, DepthMap]:
    """Method -> depth on the truth's grid, every pixel filled but for what the node withholds.

    Args:
        sample: prepared.
        truth_camera: of the truth's grid.
        sparse: the sample's points on that grid; without any, there is the prediction only.
        network: None for the baselines only.
        protocol: tells the way to the truth's grid.
    """
    depths: dict[str, DepthMap] = {}

    def on_truth(depth_m: DepthMap, fit: FitToNetwork) -> DepthMap:
        return _on_truth_grid(depth_m, fit.camera, sample, truth_camera, protocol)

    if sample.published is not None:
        published = sample.published
        depths[PUBLISHED] = _on_truth_grid(published.depth_m, published.camera, sample, truth_camera, protocol)
    if network is not None:
        predicted_m = on_truth(network.predicted_m, network.fit)
        depths[PREDICTION] = predicted_m
        if len(sparse):
            depths[PREDICTION_MEDIAN_SCALED] = predicted_m * np.float32(median_scale(predicted_m, sparse))
        if network.given is not None and network.completed_m is not None and len(sparse):
            completed_m = through_points(network.completed_m, network.fit.image_rgb, network.given)
            depths[COMPLETION] = on_truth(completed_m, network.fit)
            depths[COMPLETION_NETWORK] = on_truth(network.completed_m, network.fit)
    if len(sparse):
        depths[NEAREST] = nearest_point_depth(sparse)
        depths[CLASSICAL] = classical_depth(sparse)
    return depths


def method_sigmas(
    sample: DepthSample, truth_camera: PinholeCamera, network: NetworkDepths | None, protocol: Protocol
) -> dict[str, DepthMap]:
    """Method -> standard deviation of the log of its depth, on the truth's grid; empty where nothing tells one.

    Args:
        sample: prepared.
        truth_camera: of the truth's grid.
        network: None for the baselines only.
        protocol: tells the way to the truth's grid, which a sigma goes as a depth does; outside the window of a cropped
            image it is NaN.
    """
    as_depth = dataclasses.replace(protocol, resize=Resize.DEPTH)
    sigmas: dict[str, DepthMap] = {}
    published = sample.published
    if published is not None and published.sigma_m is not None:
        sigma_log = published.sigma_m / published.depth_m
        sigmas[PUBLISHED] = _on_truth_grid(sigma_log, published.camera, sample, truth_camera, as_depth, np.nan)
    if network is not None:
        for methods, sigma in (
            ((PREDICTION, PREDICTION_MEDIAN_SCALED), network.predicted_sigma_log),
            ((COMPLETION, COMPLETION_NETWORK), network.completed_sigma_log),
        ):
            if sigma is not None:
                on_truth = _on_truth_grid(sigma, network.fit.camera, sample, truth_camera, as_depth, np.nan)
                sigmas |= dict.fromkeys(methods, on_truth)
    return sigmas


def median_scale(depth_m: DepthMap, sparse: SparseDepth) -> float:
    """The factor that makes a prediction agree with the points: median of point depth over predicted depth."""
    at_points_m = depth_m[sparse.rows, sparse.cols]
    known = at_points_m > 0
    return float(np.median(sparse.depth_m[known] / at_points_m[known])) if known.any() else 1.0


def _infer(engine: Engine, fit: FitToNetwork, given: SparseDepth | None, protocol: Protocol) -> NetworkDepth:
    said = infer_batch(engine, [(fit, given)])[0]
    if not protocol.flip_average:
        return said
    mirrored = dataclasses.replace(fit, image_rgb=np.ascontiguousarray(fit.image_rgb[:, ::-1]))
    points = None if given is None else _mirrored(given)
    back_m = infer_depth(engine, mirrored, points)[:, ::-1]
    inv_depth = flip_averaged(np.float32(1.0) / said.depth_m, np.float32(1.0) / back_m)
    return NetworkDepth(np.asarray(1.0 / np.maximum(inv_depth, 1.0 / _FARTHEST_M), np.float32))


def _mirrored(points: SparseDepth) -> SparseDepth:
    cols = points.width_px - 1 - points.cols
    order = np.lexsort((cols, points.rows))
    return SparseDepth(points.height_px, points.width_px, points.rows[order], cols[order], points.depth_m[order])


def _cropped(sample: DepthSample, engine: Engine) -> FitToNetwork:
    """The window at the bottom, in the middle; no pixel is resampled."""
    contract, camera = engine.contract, sample.camera
    rows, cols = bottom_centre_window(contract.height_px, contract.width_px, camera.height_px, camera.width_px)
    window = PinholeCamera(
        contract.width_px,
        contract.height_px,
        camera.fx_px,
        camera.fy_px,
        camera.cx_px - cols.start,
        camera.cy_px - rows.start,
    )
    ratio = 1.0 if contract.trained_fx_px is None else camera.fx_px / contract.trained_fx_px
    return FitToNetwork(np.ascontiguousarray(sample.image_rgb[rows, cols]), window, ratio)


def _on_truth_grid(
    depth_m: DepthMap,
    camera: PinholeCamera,
    sample: DepthSample,
    truth_camera: PinholeCamera,
    protocol: Protocol,
    outside: float = 0.0,
) -> DepthMap:
    if protocol.fit is Fit.CROP_BOTTOM:
        depth_m = placed_bottom_centre(depth_m, sample.camera.height_px, sample.camera.width_px, outside)
        camera = sample.camera
    if protocol.grid is Grid.CORNERS:
        return resized_to(depth_m, truth_camera.height_px, truth_camera.width_px, protocol)
    return resampled(depth_m, camera, truth_camera, protocol.resize)


def _nyu_half(sample: DepthSample) -> DepthSample:
    """Half size and the middle of it; truth takes every second pixel, the camera is that of the protocol's authors."""
    shape = (sample.camera.height_px, sample.camera.width_px)
    truth_m = sample.truth_depth_m
    if shape != _NYU_SHAPE or truth_m is None or truth_m.shape != _NYU_SHAPE:
        got = None if truth_m is None else truth_m.shape
        raise DataError(
            f"sample {sample.name}: expected image and truth of {_NYU_SHAPE} pixels for the preparation nyu_half, "
            f"got {shape} and {got}"
        )
    height, width = _NYU_CROP
    window = slice(_NYU_TOP, _NYU_TOP + height), slice(_NYU_LEFT, _NYU_LEFT + width)
    half_rgb = cv2.resize(sample.image_rgb, (_NYU_SHAPE[1] // 2, _NYU_SHAPE[0] // 2), interpolation=cv2.INTER_AREA)
    whole = sample.camera
    camera = PinholeCamera(
        width, height, whole.fx_px / 2, whole.fy_px / 2, whole.cx_px / 2 - _NYU_LEFT, whole.cy_px / 2 - _NYU_TOP
    )
    return dataclasses.replace(
        sample,
        image_rgb=np.ascontiguousarray(half_rgb[window]),
        camera=camera,
        truth_depth_m=np.ascontiguousarray(truth_m[::2, ::2][window]),
        truth_camera=camera,
        labels=None,
    )
