# SPDX-License-Identifier: Apache-2.0
"""The motion of the camera between two images, seen in the images themselves and in the depth of the newer one.

Corners of the newer image are lifted with its depth and tracked back into the older one (pyramidal Lucas-Kanade, there
and back again). Between two images the rotation by odometry is good to a fraction of a degree: with it, RANSAC finds
the corners that one translation explains; Gauss-Newton then refines both, with the errors of tracking, of the depth and
of that rotation weighed against each other. (Without it, a depth of the wrong shape is explained by a wrong rotation.)
The translation comes in the unit of the depth: its ratio to odometry's is the factor to metres, and its direction tells
where the camera looks.

What one region's depth gets wrong, all its corners get wrong: the covariance is the sandwich of clustered residuals
(Liang and Zeger, Biometrika 1986), with blocks of the image as the clusters.
"""

import math
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.perception.snapshot import RgbImage

Float64 = npt.NDArray[np.float64]
Grey = npt.NDArray[np.uint8]
_BLOCK_ROWS, _BLOCK_COLS = 3, 8
_WINDOW_PX, _LEVELS = (13, 13), 3
_TRIALS, _ROUNDS = 80, 8
_GATE = 9.21  # 99 % of chi squared with two degrees of freedom
_STUDENT = 4.0  # degrees of freedom: outliers that RANSAC let through pull little
_SEED = 20
_STEP, _EDGE, _FAR = 1.25, 1.6, 0.7
_MIN_STRENGTH, _BORDER_PX = 2e-4, 3


class NoMotion(str, Enum):
    """Why the images tell no motion."""

    NO_TEXTURE = "no_texture"
    FEW_TRACKS = "few_tracks"
    FEW_AGREE = "few_agree"
    ONE_SIDED = "one_sided"
    STANDING = "standing"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class VisualMotionPolicy:
    """When the images are believed.

    Attributes:
        max_width_px: wider images are made smaller first.
        max_corners: that are tracked.
        min_tracks: fewer tell nothing.
        back_px: largest distance between a corner and where it comes to when it is tracked there and back.
        track_px: standard deviation of a track, at a width of up to 320 pixels; in proportion beyond.
        turn_sigma_rad: of the rotation by odometry, about each axis: a braking body pitches, odometry does not know.
        depth_sigma: relative standard deviation of the depth at a corner, as far as a corner may be wrong and agree.
        shape_sigma: the same, for the refined motion: with more, the shape of the depth bends its direction less.
        min_share: of the tracks that one motion has to explain. A lead vehicle as fast as we are stands still in the
            image; where it fills half of the view, what moves is not told.
        min_blocks: of 24 blocks of the image that have to hold explained tracks.
        min_sides: of the left, middle and right thirds that have to.
        min_parallax_px: of the tenth of the corners that moves most through the translation; less is standing.
        max_sigma: largest relative standard deviation of the distance.
    """

    max_width_px: int = 640
    max_corners: int = 240
    min_tracks: int = 24
    back_px: float = 0.5
    track_px: float = 0.25
    turn_sigma_rad: float = 0.002
    depth_sigma: float = 0.25
    shape_sigma: float = 0.4
    min_share: float = 0.55
    min_blocks: int = 6
    min_sides: int = 2
    min_parallax_px: float = 1.0
    max_sigma: float = 0.3


DEFAULT_VISUAL_MOTION_POLICY = VisualMotionPolicy()


@dataclass(frozen=True, slots=True, eq=False)
class VisualMotion:
    """What the images tell.

    Attributes:
        T_previous_current: float64 [4, 4], of the camera; the translation is in the unit of the depth.
        sigma: relative standard deviation of the distance.
        depth_sigma: the share of it that comes from the depth's shape, and stays from image to image.
        direction_sigma_rad: standard deviation of the direction of the translation, across it.
        tracks, agreeing: how many corners were tracked, and how many of them move as one.
    """

    T_previous_current: RigidTransform
    sigma: float
    depth_sigma: float
    direction_sigma_rad: float
    tracks: int
    agreeing: int


def estimate_motion(
    previous_rgb: RgbImage,
    current_rgb: RgbImage,
    camera: PinholeCamera,
    depth_m: DepthMap,
    T_previous_current: RigidTransform,
    policy: VisualMotionPolicy = DEFAULT_VISUAL_MOTION_POLICY,
) -> VisualMotion | NoMotion:
    """The motion between two images, or why there is none; the same input gives the same answer.

    Args:
        previous_rgb, current_rgb: uint8 [any, any, 3], rectified, of one camera.
        camera: of ``depth_m``; the images are stretched to it, or to less.
        depth_m: float32 [H, W] of the current image, up to a factor; NaN where unknown.
        T_previous_current: of the camera, from odometry; only its rotation is looked at.
        policy: when it is believed.
    """
    width = min(policy.max_width_px, camera.width_px)
    seen_by = camera.resized(width, max(1, round(camera.height_px * width / camera.width_px)))
    current = _grey(current_rgb, seen_by)
    corners = _corners(current, policy)
    if len(corners) < policy.min_tracks:
        return NoMotion.NO_TEXTURE
    now, before = _track(current, _grey(previous_rgb, seen_by), corners, policy)
    points, known = _lift(now, seen_by, camera, depth_m)
    now, before, points = now[known], before[known], points[known]
    if len(points) < policy.min_tracks:
        return NoMotion.FEW_TRACKS
    # The unit of the depth may be anything; numbers near one keep the solvers well.
    unit = float(np.median(points[:, 2]))
    points = points / unit
    turn = np.asarray(T_previous_current[:3, :3], np.float64)
    translation, chosen = _ransac(points, before, seen_by, turn, policy)
    if len(chosen) < max(policy.min_tracks, policy.min_share * len(points)):
        return NoMotion.FEW_AGREE
    block, side = _blocks(now[chosen], seen_by)
    if len(np.unique(block)) < policy.min_blocks or len(np.unique(side)) < policy.min_sides:
        return NoMotion.ONE_SIDED
    refined = _refine(points[chosen], before[chosen], block, seen_by, turn, translation, policy)
    return _judge(refined, unit, (len(points), len(chosen)), policy)


def _grey(image_rgb: RgbImage, camera: PinholeCamera) -> Grey:
    size = (camera.width_px, camera.height_px)
    if image_rgb.shape[1::-1] != size:
        image_rgb = np.asarray(cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def _corners(image: Grey, policy: VisualMotionPolicy) -> npt.NDArray[np.float32]:
    """Corners from all over the image, float32 [N, 2]: a road has weaker ones than trees before the sky."""
    height, width = image.shape
    strength = cv2.cornerMinEigenVal(image, 5)
    distance_px = max(3, width // 80)
    peaks = strength >= cv2.dilate(strength, np.ones((2 * distance_px + 1, 2 * distance_px + 1), np.uint8))
    peaks &= strength > _MIN_STRENGTH
    peaks[:_BORDER_PX] = peaks[-_BORDER_PX:] = False
    peaks[:, :_BORDER_PX] = peaks[:, -_BORDER_PX:] = False
    rows, cols = np.nonzero(peaks)
    order = np.argsort(-strength[rows, cols], kind="stable")
    rows, cols = rows[order], cols[order]
    block = (rows * _BLOCK_ROWS // height) * _BLOCK_COLS + cols * _BLOCK_COLS // width
    most = policy.max_corners // (_BLOCK_ROWS * _BLOCK_COLS)
    chosen = np.concatenate([np.flatnonzero(block == number)[:most] for number in range(_BLOCK_ROWS * _BLOCK_COLS)])
    return np.stack([cols[chosen], rows[chosen]], axis=1).astype(np.float32)


def _track(
    current: Grey, previous: Grey, corners: npt.NDArray[np.float32], policy: VisualMotionPolicy
) -> tuple[Float64, Float64]:
    """Corners of the current image and where they were, float64 [N, 2] each: those that come back."""
    start = np.ascontiguousarray(corners, np.float32)
    before, found, _ = cv2.calcOpticalFlowPyrLK(
        current, previous, start, np.empty_like(start), winSize=_WINDOW_PX, maxLevel=_LEVELS
    )
    back, returned, _ = cv2.calcOpticalFlowPyrLK(
        previous, current, before, np.empty_like(start), winSize=_WINDOW_PX, maxLevel=_LEVELS
    )
    height, width = current.shape
    inside = (before[:, 0] >= 0) & (before[:, 0] <= width - 1) & (before[:, 1] >= 0) & (before[:, 1] <= height - 1)
    same = np.linalg.norm(back - start, axis=1) < policy.back_px
    good = (found[:, 0] == 1) & (returned[:, 0] == 1) & inside & same
    return start[good].astype(np.float64), before[good].astype(np.float64)


def _lift(
    pixels: Float64, seen_by: PinholeCamera, camera: PinholeCamera, depth_m: DepthMap
) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Points in the camera's frame, float64 [N, 3], and which are known.

    Corners sit on the edges of things, where the depth steps; the edge moves with what is nearer. A slope that is
    seen from the side has no one depth, and is left out, as is what is unknown.
    """
    cols = (pixels[:, 0] + 0.5) * camera.width_px / seen_by.width_px - 0.5
    rows = (pixels[:, 1] + 0.5) * camera.height_px / seen_by.height_px - 0.5
    col = np.clip(np.rint(cols).astype(np.int64), 1, camera.width_px - 2)
    row = np.clip(np.rint(rows).astype(np.int64), 1, camera.height_px - 2)
    around = np.stack([depth_m[row + down, col + right] for down in (-1, 0, 1) for right in (-1, 0, 1)])
    near, far = around.min(axis=0), around.max(axis=0)
    filled = depth_m[::4, ::4][np.isfinite(depth_m[::4, ::4])]
    end = float(np.percentile(filled, 98)) if filled.size else 0.0
    with np.errstate(invalid="ignore"):
        known = np.isfinite(around).all(axis=0) & (near > 0) & ((far < _STEP * near) | (far > _EDGE * near))
        # Where a network's depth ends it says the same of a hill and of the sky.
        known &= near < _FAR * end
    depth = np.where(far > _EDGE * near, near, depth_m[row, col]).astype(np.float64)
    x = (pixels[:, 0] - seen_by.cx_px) / seen_by.fx_px
    y = (pixels[:, 1] - seen_by.cy_px) / seen_by.fy_px
    return np.stack([x * depth, y * depth, depth], axis=1), known


def _ransac(
    points: Float64, before: Float64, camera: PinholeCamera, rotation: Float64, policy: VisualMotionPolicy
) -> tuple[Float64, npt.NDArray[np.int64]]:
    """The translation that most corners agree with, and their numbers; the rotation is known.

    With it, two corners give the translation: u (Z + t_z) = X + t_x and v (Z + t_z) = Y + t_y are linear.
    """
    turned = points @ rotation.T
    u = (before[:, 0] - camera.cx_px) / camera.fx_px
    v = (before[:, 1] - camera.cy_px) / camera.fy_px
    one, zero = np.ones_like(u), np.zeros_like(u)
    rows = np.stack([np.stack([one, zero, -u], axis=1), np.stack([zero, one, -v], axis=1)], axis=1)
    right = np.stack([u * turned[:, 2] - turned[:, 0], v * turned[:, 2] - turned[:, 1]], axis=1)
    pairs = np.random.default_rng(_SEED).integers(0, len(points), (_TRIALS, 2))
    matrices, rights = rows[pairs].reshape(_TRIALS, 4, 3), right[pairs].reshape(_TRIALS, 4, 1)
    # A trace of damping makes two equal corners harmless.
    normal = matrices.transpose(0, 2, 1) @ matrices + 1e-9 * np.eye(3)
    trials = np.linalg.solve(normal, matrices.transpose(0, 2, 1) @ rights)[..., 0]
    noise_px = math.hypot(_track_px(camera, policy), policy.turn_sigma_rad * camera.fx_px)
    # All trials at once, [trials, N]: what misses, across and along the way that a wrong depth moves a corner.
    moved = turned[None] + trials[:, None]
    z = np.maximum(moved[..., 2], 1e-6)
    x_ray, y_ray = moved[..., 0] / z, moved[..., 1] / z
    miss = np.stack([camera.fx_px * (u - x_ray), camera.fy_px * (v - y_ray)], axis=-1)
    along = np.stack(
        [
            camera.fx_px * (turned[:, 0] - x_ray * turned[:, 2]) / z,
            camera.fy_px * (turned[:, 1] - y_ray * turned[:, 2]) / z,
        ],
        axis=-1,
    )
    along *= policy.depth_sigma
    share = (miss * along).sum(axis=-1) ** 2 / (noise_px**2 + (along**2).sum(axis=-1))
    inliers = ((miss**2).sum(axis=-1) - share) / noise_px**2 < _GATE
    best = int(inliers.sum(axis=1).argmax())
    return trials[best], np.flatnonzero(inliers[best])


def _track_px(camera: PinholeCamera, policy: VisualMotionPolicy) -> float:
    return policy.track_px * max(1.0, camera.width_px / 320.0)


def _blocks(pixels: Float64, camera: PinholeCamera) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The block and the third of the image that each pixel lies in."""
    across = np.clip((pixels[:, 0] + 0.5) / camera.width_px, 0.0, 1.0 - 1e-9)
    down = np.clip((pixels[:, 1] + 0.5) / camera.height_px, 0.0, 1.0 - 1e-9)
    block = (down * _BLOCK_ROWS).astype(np.int64) * _BLOCK_COLS + (across * _BLOCK_COLS).astype(np.int64)
    return block, (across * 3).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Refined:
    """A motion with the covariance of its translation: in all, and from tracking alone; and its largest flow."""

    rotation: Float64
    translation: Float64
    covariance: Float64
    track_covariance: Float64
    parallax_px: float


def _refine(
    points: Float64,
    before: Float64,
    block: npt.NDArray[np.int64],
    camera: PinholeCamera,
    turn: Float64,
    translation: Float64,
    policy: VisualMotionPolicy,
) -> _Refined:
    """Gauss-Newton on the reprojection, each residual whitened by the errors of its track and of its depth."""
    track_px, rotation = _track_px(camera, policy), turn
    prior = np.diag([policy.turn_sigma_rad**-2] * 3 + [0.0] * 3)
    for _ in range(_ROUNDS):
        residual, jacobian, along_depth, _ = _linearise(points, before, camera, rotation, translation)
        information = _information(along_depth, track_px, policy.shape_sigma)
        distance = np.einsum("ni,nij,nj->n", residual, information, residual)
        information *= ((_STUDENT + 2.0) / (_STUDENT + distance))[:, None, None]
        normal = np.einsum("nia,nij,njb->ab", jacobian, information, jacobian) + prior
        turned = np.append(cv2.Rodrigues(turn @ rotation.T)[0].reshape(3), np.zeros(3))
        gradient = np.einsum("nia,nij,nj->a", jacobian, information, residual) + prior @ turned
        step = np.linalg.lstsq(normal, gradient, rcond=None)[0]
        rotation = np.asarray(cv2.Rodrigues(step[:3])[0], np.float64) @ rotation
        translation = translation + step[3:]
        if float(np.abs(step).max()) < 1e-7:
            break
    residual, jacobian, along_depth, moved_px = _linearise(points, before, camera, rotation, translation)
    inverse = np.linalg.pinv(normal)
    # Sandwich: the gradients of a block are added up before they are squared.
    gradients = np.einsum("nia,nij,nj->na", jacobian, information, residual)
    numbers = np.unique(block)
    of_blocks = np.stack([gradients[block == number].sum(axis=0) for number in numbers])
    count = len(numbers)
    sandwich = inverse @ (of_blocks.T @ of_blocks) @ inverse * (count / max(1, count - 2))
    # What tracking alone makes of it: the same weights, residuals of track_px.
    meat = np.einsum("nia,nij,njk,nkb->ab", jacobian, information, information, jacobian) * track_px**2 + prior
    tracking = (inverse @ meat @ inverse)[3:, 3:]
    # Few blocks may agree by chance; errors are no smaller than the tracks'.
    return _Refined(rotation, translation, sandwich[3:, 3:] + tracking, tracking, float(np.percentile(moved_px, 90)))


def _linearise(
    points: Float64,
    before: Float64,
    camera: PinholeCamera,
    rotation: Float64,
    translation: Float64,
) -> tuple[Float64, Float64, Float64, Float64]:
    """Residuals [N, 2], Jacobian [N, 2, 6] (turn, shift), pixels per log depth [N, 2], translational flow [N]."""
    turned = points @ rotation.T
    x, y, z = (turned + translation).T
    z = np.maximum(z, 1e-6)
    zero = np.zeros_like(z)
    across = np.stack([camera.fx_px / z, zero, -camera.fx_px * x / z**2], axis=1)
    down = np.stack([zero, camera.fy_px / z, -camera.fy_px * y / z**2], axis=1)
    by_point = np.stack([across, down], axis=1)
    predicted = np.stack([camera.fx_px * x / z + camera.cx_px, camera.fy_px * y / z + camera.cy_px], axis=1)
    # d(exp(w) R p) / dw = -[R p]x, row by row: the cross product of R p with each row of by_point.
    jacobian = np.concatenate([np.cross(turned[:, None, :], by_point), by_point], axis=2)
    along_depth = np.einsum("nij,nj->ni", by_point, turned)
    far = turned / np.maximum(turned[:, 2:], 1e-6)
    unmoved = np.stack([camera.fx_px * far[:, 0] + camera.cx_px, camera.fy_px * far[:, 1] + camera.cy_px], axis=1)
    return before - predicted, jacobian, along_depth, np.linalg.norm(predicted - unmoved, axis=1)


def _information(along_depth: Float64, track_px: float, depth_sigma: float) -> Float64:
    """Inverse covariance [N, 2, 2] of each residual: tracking in all directions, depth along the flow (Woodbury)."""
    shift = depth_sigma * along_depth
    outer = shift[:, :, None] * shift[:, None, :]
    total = track_px**2 + (shift**2).sum(axis=1)
    return np.asarray((np.eye(2) - outer / total[:, None, None]) / track_px**2, np.float64)


def _judge(
    refined: _Refined, unit: float, counts: tuple[int, int], policy: VisualMotionPolicy
) -> VisualMotion | NoMotion:
    """The motion, if it is sure enough."""
    length = float(np.linalg.norm(refined.translation))
    if not np.isfinite(refined.covariance).all() or not math.isfinite(length):
        return NoMotion.UNSURE
    if length <= 1e-9 or refined.parallax_px < policy.min_parallax_px:
        return NoMotion.STANDING
    direction = refined.translation / length
    sigma = math.sqrt(max(0.0, float(direction @ refined.covariance @ direction))) / length
    tracking = math.sqrt(max(0.0, float(direction @ refined.track_covariance @ direction))) / length
    across = np.eye(3) - np.outer(direction, direction)
    sideways = math.sqrt(max(0.0, float(np.linalg.eigvalsh(across @ refined.covariance @ across)[-1]))) / length
    if sigma > policy.max_sigma:
        return NoMotion.UNSURE
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = refined.rotation, refined.translation * unit
    depth_sigma = math.sqrt(max(0.0, sigma**2 - tracking**2))
    return VisualMotion(motion, sigma, depth_sigma, sideways, *counts)
