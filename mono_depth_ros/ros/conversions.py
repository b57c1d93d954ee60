# SPDX-License-Identifier: Apache-2.0
"""Our results -> ROS messages. Data is handed over as ``array.array('B')``, a hundred times faster than an array."""

import array
import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.messages.camera_info import camera_info_fields
from mono_depth_ros.messages.images import ImageFields, decode_compressed_image, decode_image, is_decodable
from mono_depth_ros.messages.point_clouds import organized_cloud_fields
from mono_depth_ros.msg import DepthStatus, SensorHealth
from mono_depth_ros.perception.dial import Mode
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.snapshot import NoSnapshot, RgbImage, SensorReport, SensorState
from mono_depth_ros.ros.image_worker import ImageCounts
from mono_depth_ros.ros.output_view import Cloud
from mono_depth_ros.ros.qos_health import NO_EVENTS, QosCounts

_STATES = {
    SensorState.OK: SensorHealth.OK,
    SensorState.ABSENT: SensorHealth.ABSENT,
    SensorState.STALE: SensorHealth.STALE,
    SensorState.INVALID: SensorHealth.INVALID,
}


@dataclass(frozen=True, slots=True, eq=False)
class StatusFacts:
    """What a status message says beside the result.

    Attributes:
        reports: health of every input, the image's own first.
        qos: events of every input.
        counts: what became of the images.
        stage_s: durations of all stages, in order: (name, seconds).
        latency_s: from arrival of the image to now.
        model_name, provider: what runs.
    """

    reports: tuple[SensorReport, ...]
    qos: Mapping[str, QosCounts]
    counts: ImageCounts
    stage_s: tuple[tuple[str, float], ...]
    latency_s: float
    model_name: str
    provider: str


def message_image(message: Image | CompressedImage) -> RgbImage:
    """The pixels of an image message, uint8 [H, W, 3] RGB.

    Raises:
        DataError: if the message does not hold them.
    """
    if isinstance(message, CompressedImage):
        return decode_compressed_image(message)
    if not is_decodable(message.encoding) and importlib.util.find_spec("cv_bridge") is not None:
        return _through_cv_bridge(message)
    return decode_image(message)


def _through_cv_bridge(message: Image) -> RgbImage:
    """An encoding that depth seldom meets, converted by a distribution's cv_bridge."""
    from cv_bridge import CvBridge, CvBridgeError

    try:
        return np.ascontiguousarray(CvBridge().imgmsg_to_cv2(message, desired_encoding="rgb8"))
    # Truncated data comes as a ValueError of numpy, an encoding that it does not know either as its own error.
    except (CvBridgeError, ValueError, TypeError) as error:
        raise DataError(
            f"image encoding: expected {message.encoding!r} to be converted by cv_bridge, got: {error}"
        ) from error


def image_message(fields: ImageFields, header: Header) -> Image:
    """An Image with this header."""
    return Image(
        header=header,
        height=fields.height,
        width=fields.width,
        encoding=fields.encoding,
        is_bigendian=fields.is_bigendian,
        step=fields.step,
        data=byte_array(fields.data),
    )


def camera_info_message(camera: PinholeCamera, header: Header) -> CameraInfo:
    """The CameraInfo of a rectified image of this camera."""
    fields = camera_info_fields(camera)
    return CameraInfo(
        header=header,
        height=fields.height,
        width=fields.width,
        distortion_model=fields.distortion_model,
        d=fields.d.tolist(),
        k=fields.k,
        r=fields.r,
        p=fields.p,
    )


def cloud_message(cloud: Cloud, header: Header) -> PointCloud2:
    """An organized PointCloud2 of x, y, z and rgb, NaN where unknown."""
    fields = organized_cloud_fields(*cloud)
    return PointCloud2(
        header=header,
        height=fields.height,
        width=fields.width,
        fields=[
            PointField(name=field.name, offset=field.offset, datatype=field.datatype, count=field.count)
            for field in fields.fields
        ],
        is_bigendian=fields.is_bigendian,
        point_step=fields.point_step,
        row_step=fields.row_step,
        data=byte_array(fields.data),
        is_dense=fields.is_dense,
    )


def status_message(outcome: DepthResult | NoSnapshot, header: Header, facts: StatusFacts) -> DepthStatus:
    """How an image became depth, or why it did not."""
    status = DepthStatus(
        header=header,
        reason=outcome.reason,
        mode=int(Mode.NONE),
        scale_value=math.nan,
        scale_sigma=math.nan,
        scale_source="none",
        scale_age_s=math.nan,
        sensors=[sensor_health(report, facts.qos.get(report.name, NO_EVENTS)) for report in facts.reports],
        stage_names=[name for name, _ in facts.stage_s],
        stage_times_s=[seconds for _, seconds in facts.stage_s],
        latency_s=facts.latency_s,
        images_received=facts.counts.received,
        images_processed=facts.counts.processed,
        images_dropped=facts.counts.dropped,
        images_rejected=facts.counts.rejected,
        images_idle=facts.counts.idle,
        model_name=facts.model_name,
        provider=facts.provider,
    )
    if isinstance(outcome, DepthResult):
        status.mode = int(outcome.mode)
        status.reason = outcome.reason.value
        status.metric = outcome.scale.metric
        status.scale_value = float(outcome.scale.value)
        status.scale_sigma = float(outcome.scale.sigma)
        status.scale_source = outcome.scale.source.value
        status.scale_age_s = float(outcome.scale.age_s)
        status.points_used = outcome.points_used
        status.calibration_suspect = outcome.calibration.suspect
        status.calibration_reason = outcome.calibration.reason
    return status


def sensor_health(report: SensorReport, qos: QosCounts = NO_EVENTS) -> SensorHealth:
    """One input's line of a status message."""
    return SensorHealth(
        name=report.name,
        state=_STATES[report.state],
        age_s=math.nan if report.age_s is None else float(report.age_s),
        rate_hz=float(report.rate_hz),
        jitter_s=float(report.jitter_s),
        used_share=float(report.used_share),
        used=report.used,
        reason=report.reason,
        received=report.received,
        rejected=report.rejected,
        last_error=report.last_error,
        lost=qos.lost,
        deadlines_missed=qos.deadlines_missed,
        incompatible_qos=qos.incompatible,
    )


def byte_array(data: npt.NDArray[np.uint8]) -> "array.array[int]":
    """The bytes of a contiguous array, in the one form that rclpy takes without a copy per element."""
    filled = array.array("B")
    filled.frombytes(data.data)
    return filled
