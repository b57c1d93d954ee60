# SPDX-License-Identifier: Apache-2.0
"""One way out: depth, camera_info, cloud and status as messages, for rclpy's classes and those of `rosbags` alike."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.distortion import Distortion
from mono_depth_ros.messages.camera_info import camera_info_fields
from mono_depth_ros.messages.compressed_depth import CompressedImageFields
from mono_depth_ros.messages.images import ImageFields
from mono_depth_ros.messages.point_clouds import PointCloudFields
from mono_depth_ros.messages.stamps import stamp_parts
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.snapshot import NoSnapshot, SensorReport, SensorState

STATUS, HEALTH = "mono_depth_ros/msg/DepthStatus", "mono_depth_ros/msg/SensorHealth"
# The constants of SensorHealth.msg.
_STATES = {SensorState.OK: 0, SensorState.ABSENT: 1, SensorState.STALE: 2, SensorState.INVALID: 3}


@dataclass(frozen=True, slots=True)
class ImageCounts:
    """What became of the images since the start; ``received`` is the sum of the others and of those still in work.

    ``idle`` are those that nobody wanted depth of.
    """

    received: int
    processed: int
    dropped: int
    rejected: int
    idle: int = 0


NO_IMAGES = ImageCounts(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class QosCounts:
    """What the middleware says about one input since the start.

    Attributes:
        lost: messages that it lost, as far as it knows.
        deadlines_missed: times that a message was later than the subscription's deadline, if it has one.
        incompatible: publishers whose quality of service does not fit.
    """

    lost: int = 0
    deadlines_missed: int = 0
    incompatible: int = 0


NO_EVENTS = QosCounts()


@dataclass(frozen=True, slots=True, eq=False)
class StatusFacts:
    """What a status says beside the result of the pipeline.

    Attributes:
        reports: health of every input, the image's own first.
        counts: what became of the images.
        stage_s: durations of all stages, in order: (name, seconds).
        latency_s: from arrival of the image to now.
        model_name, provider: what runs.
        qos: events by input.
    """

    reports: tuple[SensorReport, ...]
    counts: ImageCounts
    stage_s: tuple[tuple[str, float], ...]
    latency_s: float
    model_name: str
    provider: str
    qos: Mapping[str, QosCounts] = field(default_factory=dict)


class OutputMessages:
    """Fills messages of one family of classes.

    Args:
        type_of: the class of a message type such as "sensor_msgs/msg/Image".
        sequence: what the classes take for an unbounded sequence of numbers, from a contiguous array.
    """

    def __init__(self, type_of: Callable[[str], Any], sequence: Callable[[NDArray[Any]], Any]) -> None:
        self._type_of = type_of
        self._sequence = sequence

    def header(self, stamp_ns: int, frame: str) -> Any:
        """std_msgs/Header."""
        sec, nanosec = stamp_parts(stamp_ns)
        stamp = self._type_of("builtin_interfaces/msg/Time")(sec=sec, nanosec=nanosec)
        return self._type_of("std_msgs/msg/Header")(stamp=stamp, frame_id=frame)

    def image(self, header: Any, image: ImageFields) -> Any:
        """sensor_msgs/Image."""
        return self._type_of("sensor_msgs/msg/Image")(
            header=header,
            height=image.height,
            width=image.width,
            encoding=image.encoding,
            is_bigendian=image.is_bigendian,
            step=image.step,
            data=self._sequence(image.data),
        )

    def compressed_image(self, header: Any, image: CompressedImageFields) -> Any:
        """sensor_msgs/CompressedImage."""
        compressed_image = self._type_of("sensor_msgs/msg/CompressedImage")
        return compressed_image(header=header, format=image.format, data=self._sequence(image.data))

    def camera_info(self, header: Any, camera: PinholeCamera, distortion: Distortion | None = None) -> Any:
        """sensor_msgs/CameraInfo; where the lens is distorted, P = [K|0] describes the image after rectification."""
        info = camera_info_fields(camera)
        whole_image = self._type_of("sensor_msgs/msg/RegionOfInterest")(
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        return self._type_of("sensor_msgs/msg/CameraInfo")(
            header=header,
            height=info.height,
            width=info.width,
            distortion_model=info.distortion_model,
            d=self._sequence(info.d if distortion is None else np.asarray(distortion.coefficients, np.float64)),
            k=info.k,
            r=info.r,
            p=info.p,
            binning_x=0,
            binning_y=0,
            roi=whole_image,
        )

    def cloud(self, header: Any, cloud: PointCloudFields) -> Any:
        """sensor_msgs/PointCloud2."""
        point_field = self._type_of("sensor_msgs/msg/PointField")
        return self._type_of("sensor_msgs/msg/PointCloud2")(
            header=header,
            height=cloud.height,
            width=cloud.width,
            fields=[
                point_field(name=f.name, offset=f.offset, datatype=f.datatype, count=f.count) for f in cloud.fields
            ],
            is_bigendian=cloud.is_bigendian,
            point_step=cloud.point_step,
            row_step=cloud.row_step,
            data=self._sequence(cloud.data),
            is_dense=cloud.is_dense,
        )

    def status(self, header: Any, outcome: DepthResult | NoSnapshot, facts: StatusFacts) -> Any:
        """mono_depth_ros/DepthStatus: how an image became depth, or why it did not."""
        result = outcome if isinstance(outcome, DepthResult) else None
        scale = None if result is None else result.scale
        return self._type_of(STATUS)(
            header=header,
            mode=0 if result is None else int(result.mode),
            reason=outcome.reason.value if isinstance(outcome, DepthResult) else outcome.reason,
            metric=scale is not None and bool(scale.metric),
            scale_value=math.nan if scale is None else float(scale.value),
            scale_sigma=math.nan if scale is None else float(scale.sigma),
            scale_source="none" if scale is None else str(scale.source.value),
            scale_age_s=math.nan if scale is None else float(scale.age_s),
            points_used=0 if result is None else result.points_used,
            calibration_suspect=result is not None and result.calibration.suspect,
            calibration_reason="" if result is None else result.calibration.reason,
            sensors=[self.health(report, facts.qos.get(report.name, NO_EVENTS)) for report in facts.reports],
            stage_names=[name for name, _ in facts.stage_s],
            stage_times_s=self._sequence(np.array([seconds for _, seconds in facts.stage_s], np.float32)),
            latency_s=float(facts.latency_s),
            images_received=facts.counts.received,
            images_processed=facts.counts.processed,
            images_dropped=facts.counts.dropped,
            images_rejected=facts.counts.rejected,
            images_idle=facts.counts.idle,
            model_name=facts.model_name,
            provider=facts.provider,
        )

    def health(self, report: SensorReport, qos: QosCounts = NO_EVENTS) -> Any:
        """mono_depth_ros/SensorHealth: one input's line of a status."""
        return self._type_of(HEALTH)(
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
