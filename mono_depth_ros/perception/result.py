# SPDX-License-Identifier: Apache-2.0
"""What one step of the pipeline gives."""

from dataclasses import dataclass

from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.perception.calibration import UNSUSPECTED, CalibrationVerdict
from mono_depth_ros.perception.dial import Mode, Reason
from mono_depth_ros.perception.scale import ScaleEstimate
from mono_depth_ros.perception.snapshot import RgbImage, SensorReport


@dataclass(frozen=True, slots=True, eq=False)
class DepthResult:
    """Depth of one image.

    Attributes:
        stamp_ns, camera_frame: of the image, unchanged.
        camera: intrinsics of ``depth_m``.
        depth_m: float32 [h, w], metres along z, NaN where unknown or beyond the model's range.
        image_rgb: uint8 [h, w, 3], the image at the size of ``depth_m``.
        mode, reason: where the dial stood and why.
        points_used: image cells that went into the network.
        scale: who vouches for the metres.
        stage_s: seconds per stage, in order: (name, duration).
        sensors: health of every input at this image.
        calibration: whether LiDAR, odometry and camera fit together.
        sigma_m: float32 [h, w], standard deviation of ``depth_m``, metres, NaN where that is; None if the model
            tells none.
        points: that went into the network, on the grid of ``depth_m``; None for a prediction, or where the depth was
            enlarged.
    """

    stamp_ns: int
    camera_frame: str
    camera: PinholeCamera
    depth_m: DepthMap
    image_rgb: RgbImage
    mode: Mode
    reason: Reason
    points_used: int
    scale: ScaleEstimate
    stage_s: tuple[tuple[str, float], ...]
    sensors: tuple[SensorReport, ...]
    calibration: CalibrationVerdict = UNSUSPECTED
    sigma_m: DepthMap | None = None
    points: SparseDepth | None = None
