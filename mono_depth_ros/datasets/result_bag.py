# SPDX-License-Identifier: Apache-2.0
"""Writes what the depth node would publish to a new mcap bag, without ROS."""

import math
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mono_depth_ros.datasets.bag_topics import CAMERA_INFO, IMAGE, POINT_CLOUD
from mono_depth_ros.datasets.rosbag2 import BagMessage
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.messages.camera_info import camera_info_fields
from mono_depth_ros.messages.images import depth_image_fields
from mono_depth_ros.messages.point_clouds import organized_cloud_fields
from mono_depth_ros.messages.stamps import stamp_parts
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
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore

        if path.exists():
            raise ConfigError(
                f"output bag {path}: expected a new path, got an existing one; choose another or remove it"
            )
        if cloud_stride < 1:
            raise ConfigError(f"cloud stride: expected at least 1, got {cloud_stride}")
        self._path = path
        self._topics = topics
        self._model_name, self._provider, self._cloud_stride = model_name, provider, cloud_stride
        self._store = get_typestore(Stores.ROS2_JAZZY)
        for name in (_HEALTH, STATUS):
            text = share_path(f"msg/{name.rsplit('/', 1)[1]}.msg").read_text(encoding="utf-8")
            self._store.register(get_types_from_msg(text, name))
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> "ResultBag":
        from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Beside the target, so that the move at the end is a rename; the bag's file carries the name of its folder.
            self._workshop = Path(tempfile.mkdtemp(prefix=f".{self._path.name}-", dir=self._path.parent))
        except OSError as error:
            raise ConfigError(f"output bag {self._path}: expected a place to write to, got {error}") from error
        self._writer = Writer(self._workshop / self._path.name, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        for topic, message_type in (
            (self._topics.depth, IMAGE),
            (self._topics.camera_info, CAMERA_INFO),
            (self._topics.cloud, POINT_CLOUD),
            (self._topics.status, STATUS),
        ):
            self._connect(topic, message_type, [_reliable_qos()])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writer.close()
            if kind is None:
                (self._workshop / self._path.name).rename(self._path)
        finally:
            shutil.rmtree(self._workshop, ignore_errors=True)

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
        header = self._header(outcome.stamp_ns, camera_frame)
        if isinstance(outcome, DepthResult):
            self._write(self._topics.depth, log_stamp_ns, self._image(header, outcome))
            self._write(self._topics.camera_info, log_stamp_ns, self._camera_info(header, outcome))
            self._write(self._topics.cloud, log_stamp_ns, self._cloud(header, outcome))
        self._write(self._topics.status, log_stamp_ns, self._status(header, outcome, latency_s, images))

    def copy(self, message: BagMessage, quality_of_service: Iterable[Any]) -> None:
        """A message of the input, byte by byte, with the QoS profiles that were recorded with it.

        Raises:
            DataError: its topic is one of the outputs.
        """
        if message.topic in (self._topics.depth, self._topics.camera_info, self._topics.cloud, self._topics.status):
            raise DataError(f"{message.topic}: expected an input, got the name of an output; choose another namespace")
        if message.topic not in self._connections:
            self._connect(message.topic, message.message_type, list(quality_of_service))
        self._writer.write(self._connections[message.topic], message.log_stamp_ns, message.raw)

    def _connect(self, topic: str, message_type: str, profiles: list[Any]) -> None:
        self._connections[topic] = self._writer.add_connection(
            topic, message_type, typestore=self._store, offered_qos_profiles=profiles
        )

    def _write(self, topic: str, log_stamp_ns: int, message: Any) -> None:
        raw = self._store.serialize_cdr(message, self._connections[topic].msgtype)
        self._writer.write(self._connections[topic], log_stamp_ns, raw)

    def _header(self, stamp_ns: int, frame: str) -> Any:
        sec, nanosec = stamp_parts(stamp_ns)
        stamp = self._store.types["builtin_interfaces/msg/Time"](sec=sec, nanosec=nanosec)
        return self._store.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame)

    def _image(self, header: Any, result: DepthResult) -> Any:
        image = depth_image_fields(result.depth_m)
        return self._store.types[IMAGE](
            header=header,
            height=image.height,
            width=image.width,
            encoding=image.encoding,
            is_bigendian=image.is_bigendian,
            step=image.step,
            data=image.data,
        )

    def _camera_info(self, header: Any, result: DepthResult) -> Any:
        info = camera_info_fields(result.camera)
        return self._store.types[CAMERA_INFO](
            header=header,
            height=info.height,
            width=info.width,
            distortion_model=info.distortion_model,
            d=info.d,
            k=info.k,
            r=info.r,
            p=info.p,
            binning_x=0,
            binning_y=0,
            roi=self._store.types["sensor_msgs/msg/RegionOfInterest"](
                x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
            ),
        )

    def _cloud(self, header: Any, result: DepthResult) -> Any:
        stride = self._cloud_stride
        points_m = result.camera.unproject(result.depth_m)[::stride, ::stride]
        cloud = organized_cloud_fields(points_m, result.image_rgb[::stride, ::stride])
        point_field = self._store.types["sensor_msgs/msg/PointField"]
        return self._store.types[POINT_CLOUD](
            header=header,
            height=cloud.height,
            width=cloud.width,
            fields=[
                point_field(name=field.name, offset=field.offset, datatype=field.datatype, count=field.count)
                for field in cloud.fields
            ],
            is_bigendian=cloud.is_bigendian,
            point_step=cloud.point_step,
            row_step=cloud.row_step,
            data=cloud.data,
            is_dense=cloud.is_dense,
        )

    def _status(self, header: Any, outcome: DepthResult | NoSnapshot, latency_s: float, images: ImageStatus) -> Any:
        result = outcome if isinstance(outcome, DepthResult) else None
        scale = None if result is None else result.scale
        stage_s = () if result is None else result.stage_s
        return self._store.types[STATUS](
            header=header,
            mode=int(Mode.NONE if result is None else result.mode),
            reason=outcome.reason if isinstance(outcome, NoSnapshot) else str(outcome.reason.value),
            metric=scale is not None and scale.metric,
            scale_value=math.nan if scale is None else scale.value,
            scale_sigma=math.nan if scale is None else scale.sigma,
            scale_source="none" if scale is None else str(scale.source.value),
            scale_age_s=math.nan if scale is None else scale.age_s,
            points_used=0 if result is None else result.points_used,
            sensors=[self._health(sensor) for sensor in (images.report, *outcome.sensors)],
            stage_names=[name for name, _ in stage_s],
            stage_times_s=np.array([seconds for _, seconds in stage_s], np.float32),
            latency_s=latency_s,
            images_received=images.received,
            images_processed=images.processed,
            images_dropped=images.dropped,
            images_rejected=images.rejected,
            model_name=self._model_name,
            provider=self._provider,
        )

    def _health(self, sensor: SensorReport) -> Any:
        return self._store.types[_HEALTH](
            name=sensor.name,
            state=_HEALTH_STATE[sensor.state],
            age_s=math.nan if sensor.age_s is None else sensor.age_s,
            rate_hz=sensor.rate_hz,
            used=sensor.used,
            reason=sensor.reason,
            received=sensor.received,
            rejected=sensor.rejected,
            last_error=sensor.last_error,
        )


def _reliable_qos() -> Any:
    """What the depth node offers: reliable, the last five, volatile."""
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    unlimited = QosTime(0, 0)
    return Qos(
        QosHistory.KEEP_LAST,
        5,
        QosReliability.RELIABLE,
        QosDurability.VOLATILE,
        unlimited,
        unlimited,
        QosLiveliness.AUTOMATIC,
        unlimited,
        False,
    )
