# SPDX-License-Identifier: Apache-2.0
"""Depth of images from Python: the node's pipeline behind one call, without ROS."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError, DataError, FrameError
from mono_depth_ros.geometry.camera import PinholeCamera, Points
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.inference.completion import DEFAULT_COMPLETION_POLICY, CompletionPolicy
from mono_depth_ros.inference.engine import PRECISIONS, OnnxEngine
from mono_depth_ros.inference.pipeline import DEFAULT_DIAL_POLICY, DepthPipeline, at_image_size
from mono_depth_ros.perception.dial import DialPolicy
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.scale import DEFAULT_SCALE_POLICY, ScalePolicy
from mono_depth_ros.perception.snapshot import NoSnapshot, RgbImage, SensorSnapshot
from mono_depth_ros.perception.snapshot_buffer import BufferPolicy
from mono_depth_ros.share import model_path

SIZES = ("image", "network")
_FRAME = "camera"
# As in the node: time began anew.
_JUMP_BACK_NS = round(BufferPolicy().jump_back_s * 1e9)


class DepthEstimator:
    """Metric depth of rectified images of one camera, with LiDAR points where there are some.

    Args:
        model: name of a shipped model, or a folder with model.onnx and model.json.
        size: of the result: "image", or "network" for the resolution at which it is computed. Depth is enlarged
            without interpolation, so "image" has no more detail.
        providers: execution providers of ONNX Runtime, the preferred first.
        precision: see ``OnnxEngine``.
        intra_op_threads: of ONNX Runtime; 0: one per core.
        dial: when points are good enough to complete with.
        completion: what is done to completed depth after the network.
        scale: what makes predictions metric.

    Attributes:
        engine: the open model; ``engine.contract`` tells its range and what it was trained for.

    Raises:
        ConfigError: there is no such model or size, or ONNX Runtime is not there.
        ModelContractError: the model's files are damaged.
    """

    def __init__(
        self,
        model: str | Path = "street",
        *,
        size: str = SIZES[0],
        providers: Sequence[str] = ("CPUExecutionProvider",),
        precision: str = PRECISIONS[0],
        intra_op_threads: int = 0,
        dial: DialPolicy = DEFAULT_DIAL_POLICY,
        completion: CompletionPolicy = DEFAULT_COMPLETION_POLICY,
        scale: ScalePolicy = DEFAULT_SCALE_POLICY,
    ) -> None:
        if size not in SIZES:
            raise ConfigError(f"size: expected one of {', '.join(SIZES)}, got {size!r}")
        self._size = size
        names = (providers,) if isinstance(providers, str) else providers
        self.engine = OnnxEngine(model_path(str(model)), names, intra_op_threads, precision)
        self._policies = (dial, completion, scale)
        self._drive = self._new_pipeline()
        self._last_stamp_ns: int | None = None

    def __call__(
        self,
        image_rgb: RgbImage,
        camera: PinholeCamera,
        *,
        points_camera_m: npt.NDArray[np.floating] | None = None,
        points_age_s: float = 0.0,
        stamp_ns: int | None = None,
        T_previous_current: npt.NDArray[np.floating] | None = None,
        T_base_camera: npt.NDArray[np.floating] | None = None,
    ) -> DepthResult:
        """Depth of one image.

        Args:
            image_rgb: uint8 [H, W, 3], rectified, red first (OpenCV reads blue first).
            camera: intrinsics of this image.
            points_camera_m: float [N, 3] in the optical frame (x right, y down, z forward) as the camera sees them at
                this image; those out of view or not finite do not count. None predicts.
            points_age_s: how much older than the image the measurement of the points is.
            stamp_ns: of the image. Images with stamps are one drive: the dial has its hysteresis and the scale is
                followed from one to the next; a stamp more than a second before the last begins another. An image
                without a stamp stands alone and leaves the drive as it is.
            T_previous_current: [4, 4], takes points of this image's camera frame to that of the drive's image before,
                in metres: a source of scale.
            T_base_camera: [4, 4], where the camera sits above the ground that the base stands on: a source of scale.

        Returns:
            ``depth_m`` is float32 [h, w], NaN where unknown; ``camera`` and ``image_rgb`` are of its size. ``stamp_ns``
            is 0 without a stamp, ``sensors`` is empty.

        Raises:
            DataError: an array has another type or shape; or no metric depth can be made of what there is: a model of
                relative depth without a source of scale, or a completion forced without points.
            FrameError: a transform is no rigid motion.
            ConfigError: a motion without a stamp.
        """
        _check_image(image_rgb, camera)
        points = None if points_camera_m is None else _checked_points(points_camera_m)
        if stamp_ns is None and T_previous_current is not None:
            raise ConfigError("T_previous_current: expected stamp_ns with it, got none; a motion is one between stamps")
        motion = _checked_transform("T_previous_current", T_previous_current)
        mount = _checked_transform("T_base_camera", T_base_camera)
        pipeline, speed_mps = self._new_pipeline(), None
        if stamp_ns is not None:
            pipeline, speed_mps = self._drive, self._advance(stamp_ns, motion)
        snapshot = SensorSnapshot(
            stamp_ns=0 if stamp_ns is None else int(stamp_ns),
            camera_frame=_FRAME,
            image_rgb=np.ascontiguousarray(image_rgb),
            camera=camera,
            points_camera_m=points,
            points_age_s=None if points is None else float(points_age_s),
            T_previous_current=motion,
            speed_mps=speed_mps,
            sensors=(),
            T_base_camera=mount,
        )
        outcome = pipeline.step(snapshot)
        if isinstance(outcome, NoSnapshot):
            raise DataError(f"{outcome.reason}: {outcome.message}")
        return outcome if self._size == "network" else at_image_size(outcome, snapshot)

    def reset(self) -> None:
        """Forgets the drive: the next image with a stamp is the first of another."""
        self._drive.reset()
        self._last_stamp_ns = None

    def _new_pipeline(self) -> DepthPipeline:
        return DepthPipeline(self.engine, *self._policies)

    def _advance(self, stamp_ns: int, motion: RigidTransform | None) -> float | None:
        """Takes the drive to a stamp; the speed on the way there, None without a motion."""
        if isinstance(stamp_ns, bool) or not isinstance(stamp_ns, (int, np.integer)):
            raise DataError(f"stamp_ns: expected whole nanoseconds, got {stamp_ns!r}")
        last_ns, stamp_ns = self._last_stamp_ns, int(stamp_ns)
        if last_ns is not None and stamp_ns < last_ns - _JUMP_BACK_NS:
            self.reset()
            last_ns = None
        self._last_stamp_ns = stamp_ns
        if motion is None or last_ns is None or stamp_ns <= last_ns:
            return None
        return float(np.linalg.norm(motion[:3, 3])) / ((stamp_ns - last_ns) * 1e-9)


def _check_image(image_rgb: object, camera: object) -> None:
    if not isinstance(camera, PinholeCamera):
        raise DataError(f"camera: expected PinholeCamera(width, height, fx, fy, cx, cy), got {type(camera).__name__}")
    shape = (camera.height_px, camera.width_px, 3)
    if not isinstance(image_rgb, np.ndarray):
        raise DataError(f"image_rgb: expected a numpy array, uint8 {shape}, got {type(image_rgb).__name__}")
    if image_rgb.dtype == np.uint8 and image_rgb.shape == shape:
        return
    hint = ""
    if image_rgb.shape in (shape[:2], (*shape[:2], 1)):
        hint = "; a grey image becomes one by np.repeat(grey.reshape(*grey.shape[:2], 1), 3, axis=2)"
    elif image_rgb.shape == (*shape[:2], 4):
        hint = "; leave out alpha: image[..., :3]"
    elif image_rgb.shape == (3, *shape[:2]):
        hint = "; put the colours last: np.moveaxis(image, 0, -1)"
    elif image_rgb.ndim == 3 and image_rgb.shape[2] == 3 and image_rgb.shape != shape:
        hint = "; the camera is that of another size: camera.resized(width, height) if the whole image was resized"
    elif np.issubdtype(image_rgb.dtype, np.floating):
        hint = "; of an image in 0..1: np.rint(image * 255).astype(np.uint8)"
    raise DataError(f"image_rgb: expected uint8 {shape} of its camera, got {image_rgb.dtype} {image_rgb.shape}{hint}")


def _checked_points(points_camera_m: object) -> Points:
    """The points as float32 [N, 3]."""
    points = np.asarray(points_camera_m)
    if points.ndim != 2 or points.shape[1] != 3 or not np.issubdtype(points.dtype, np.floating):
        hint = "; further columns, such as intensity, have to go: points[:, :3]"
        raise DataError(
            f"points_camera_m: expected float [N, 3], metres, in the camera's optical frame, got {points.dtype} "
            f"{list(points.shape)}{hint if points.ndim == 2 and points.shape[1] > 3 else ''}"
        )
    return np.ascontiguousarray(points, np.float32)


def _checked_transform(name: str, transform: object) -> RigidTransform | None:
    """The transform as float64 [4, 4]; None where there is none."""
    if transform is None:
        return None
    matrix: RigidTransform = np.asarray(transform, np.float64)
    rigid = matrix.shape == (4, 4) and np.isfinite(matrix).all() and np.array_equal(matrix[3], (0.0, 0.0, 0.0, 1.0))
    if rigid:
        rotation = matrix[:3, :3]
        rigid = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) and bool(np.linalg.det(rotation) > 0)
    if not rigid:
        raise FrameError(f"{name}: expected a rigid motion [4, 4] (rotation, translation in metres), got {transform!r}")
    return matrix
