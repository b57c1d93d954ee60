# SPDX-License-Identifier: Apache-2.0
"""Writes what the depth node would publish to a new mcap bag, without ROS."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mono_depth_ros.datasets.bags.new_bag import NewBag, reliable_qos
from mono_depth_ros.datasets.bags.reader import BagMessage
from mono_depth_ros.datasets.bags.topics import CAMERA_INFO, IMAGE, POINT_CLOUD
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.messages.images import depth_image_fields
from mono_depth_ros.messages.point_clouds import organized_cloud_fields
from mono_depth_ros.perception.dial import Mode
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.snapshot import NoSnapshot, SensorReport, SensorState
from mono_depth_ros.share import share_path

STATUS = "mono_depth_ros/msg/DepthStatus"
_HEALTH = "mono_depth_ros/msg/SensorHealth"
_HEALTH_STATE = {SensorState.OK: 0, SensorState.ABSENT: 1, SensorState.STALE: 2, SensorState.INVALID: 3}


@dataclass(frozen=True, slots=True)
class OutputTopics:
    """Where results go, with the names that the depth node uses."""

    depth: str
    camera_info: str
    cloud: str
    status: str

    @staticmethod
    def under(namespace: str) -> "OutputTopics":
        """The node's topics in a namespace; "" or "/" is the root.

        >>> OutputTopics.under("/camera_02").status
        '/camera_02/depth_node/status'
        """
        root = "/" + namespace.strip("/") if namespace.strip("/") else ""
        return OutputTopics(
            f"{root}/depth/image_rect", f"{root}/depth/camera_info", f"{root}/points_dense", f"{root}/depth_node/status"
        )


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """Images so far: received, made into depth, overtaken, unreadable or unusable; and the health of their topic."""

    received: int
    processed: int
    dropped: int
    rejected: int
    report: SensorReport


class ResultBag:
    """A bag in the making. As a context manager it appears at `path` whole when the block ends, or not at all.

    Args:
        path: a folder that is not there yet.
        topics: names of the outputs.
        model_name, provider: what runs, for the status.
        cloud_stride: every n-th row and column of the depth goes into the cloud.

    Raises:
        ConfigError: the path is taken, or the stride is not positive.
    """

    def __init__(self, path: Path, topics: OutputTopics, model_name: str, provider: str, cloud_stride: int = 1) -> None:
        from rosbags.typesys import get_types_from_msg

        if cloud_stride < 1:
            raise ConfigError(f"cloud stride: expected at least 1, got {cloud_stride}")
        self._bag = NewBag(path)
        self._topics = topics
        self._model_name, self._provider, self._cloud_stride = model_name, provider, cloud_stride
        for name in (_HEALTH, STATUS):
            text = share_path(f"msg/{name.rsplit('/', 1)[1]}.msg").read_text(encoding="utf-8")
            self._bag.store.register(get_types_from_msg(text, name))

    def __enter__(self) -> "ResultBag":
        self._bag.__enter__()
        for topic, message_type in (
            (self._topics.depth, IMAGE),
            (self._topics.camera_info, CAMERA_INFO),
            (self._topics.cloud, POINT_CLOUD),
            (self._topics.status, STATUS),
        ):
            self._bag.connect(topic, message_type, [reliable_qos()])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bag.__exit__(kind, error, trace)

    def write(
        self,
        outcome: DepthResult | NoSnapshot,
        camera_frame: str,
        log_stamp_ns: int,
        latency_s: float,
        images: ImageStatus,
    ) -> None:
        """What the node would publish for one image: depth, its camera_info, cloud and status, or only a status.

        All have the image's stamp and frame in their headers, and the image's time of recording.
        """
        header = self._bag.header(outcome.stamp_ns, camera_frame)
        if isinstance(outcome, DepthResult):
            depth = self._bag.image(header, depth_image_fields(outcome.depth_m))
            self._bag.write(self._topics.depth, log_stamp_ns, depth)
            info = self._bag.camera_info(header, outcome.camera)
            self._bag.write(self._topics.camera_info, log_stamp_ns, info)
            self._bag.write(self._topics.cloud, log_stamp_ns, self._cloud(header, outcome))
        self._bag.write(self._topics.status, log_stamp_ns, self._status(header, outcome, latency_s, images))

    def copy(self, message: BagMessage, quality_of_service: Iterable[Any]) -> None:
        """A message of the input, byte by byte, with the QoS profiles that were recorded with it.

        Raises:
            DataError: its topic is one of the outputs.
        """
        if message.topic in (self._topics.depth, self._topics.camera_info, self._topics.cloud, self._topics.status):
            raise DataError(f"{message.topic}: expected an input, got the name of an output; choose another namespace")
        if not self._bag.has_topic(message.topic):
            self._bag.connect(message.topic, message.message_type, list(quality_of_service))
        self._bag.write_raw(message.topic, message.log_stamp_ns, message.raw)

    def _cloud(self, header: Any, result: DepthResult) -> Any:
        stride = self._cloud_stride
        points_m = result.camera.unproject(result.depth_m)[::stride, ::stride]
        return self._bag.cloud(header, organized_cloud_fields(points_m, result.image_rgb[::stride, ::stride]))

    def _status(self, header: Any, outcome: DepthResult | NoSnapshot, latency_s: float, images: ImageStatus) -> Any:
        result = outcome if isinstance(outcome, DepthResult) else None
        scale = None if result is None else result.scale
        stage_s = () if result is None else result.stage_s
        return self._bag.types[STATUS](
            header=header,
            mode=int(Mode.NONE if result is None else result.mode),
            reason=outcome.reason if isinstance(outcome, NoSnapshot) else str(outcome.reason.value),
            metric=scale is not None and scale.metric,
            scale_value=math.nan if scale is None else scale.value,
            scale_sigma=math.nan if scale is None else scale.sigma,
            scale_source="none" if scale is None else str(scale.source.value),
            scale_age_s=math.nan if scale is None else scale.age_s,
            points_used=0 if result is None else result.points_used,
            calibration_suspect=result is not None and result.calibration.suspect,
            calibration_reason="" if result is None else result.calibration.reason,
            sensors=[self._health(sensor) for sensor in (images.report, *outcome.sensors)],
            stage_names=[name for name, _ in stage_s],
            stage_times_s=np.array([seconds for _, seconds in stage_s], np.float32),
            latency_s=latency_s,
            images_received=images.received,
            images_processed=images.processed,
            images_dropped=images.dropped,
            images_rejected=images.rejected,
            images_idle=0,
            model_name=self._model_name,
            provider=self._provider,
        )

    def _health(self, sensor: SensorReport) -> Any:
        return self._bag.types[_HEALTH](
            name=sensor.name,
            state=_HEALTH_STATE[sensor.state],
            age_s=math.nan if sensor.age_s is None else sensor.age_s,
            rate_hz=sensor.rate_hz,
            jitter_s=sensor.jitter_s,
            used_share=sensor.used_share,
            used=sensor.used,
            reason=sensor.reason,
            received=sensor.received,
            rejected=sensor.rejected,
            last_error=sensor.last_error,
            lost=0,
            deadlines_missed=0,
            incompatible_qos=0,
        )
