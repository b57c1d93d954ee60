# SPDX-License-Identifier: Apache-2.0
"""Writes what the depth node would publish to a new mcap bag, without ROS."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from mono_depth_ros.datasets.bags.new_bag import NewBag, reliable_qos
from mono_depth_ros.datasets.bags.reader import BagMessage
from mono_depth_ros.datasets.bags.topics import CAMERA_INFO, IMAGE, POINT_CLOUD
from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.images import depth_image_fields
from mono_depth_ros.messages.outputs import HEALTH, STATUS, StatusFacts
from mono_depth_ros.messages.point_clouds import organized_cloud_fields
from mono_depth_ros.share import share_path
from mono_depth_ros.stream.depth_stream import StreamOutput


@dataclass(frozen=True, slots=True)
class OutputTopics:
    """Where results go, with the names that the depth node uses."""

    depth: str
    camera_info: str
    sigma: str
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
            f"{root}/depth/image_rect",
            f"{root}/depth/camera_info",
            f"{root}/depth/sigma",
            f"{root}/points_dense",
            f"{root}/depth_node/status",
        )


class ResultBag:
    """A bag in the making. As a context manager it appears at `path` whole when the block ends, or not at all.

    Args:
        path: a folder that is not there yet.
        topics: names of the outputs.

    Raises:
        ConfigError: the path is taken.
    """

    def __init__(self, path: Path, topics: OutputTopics) -> None:
        from rosbags.typesys import get_types_from_msg

        self._bag = NewBag(path)
        self._topics = topics
        for name in (HEALTH, STATUS):
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

    def write(self, output: StreamOutput, facts: StatusFacts, log_stamp_ns: int) -> None:
        """What the node would publish for one image: depth, its camera_info, cloud and status, or only a status.

        All have the image's stamp and frame in their headers, and the image's time of recording.
        """
        message, make = output.prepared.image.message, self._bag.messages
        header = make.header(output.outcome.stamp_ns, str(message.header.frame_id))
        view, config = output.view, output.prepared.config
        if view is not None:
            depth = make.image(header, depth_image_fields(view.depth_m, config.output_encoding))
            self._bag.write(self._topics.depth, log_stamp_ns, depth)
            self._bag.write(self._topics.camera_info, log_stamp_ns, make.camera_info(header, view.camera))
            if view.sigma_m is not None:
                if not self._bag.has_topic(self._topics.sigma):  # not every model tells one
                    self._bag.connect(self._topics.sigma, IMAGE, [reliable_qos()])
                self._bag.write(self._topics.sigma, log_stamp_ns, make.image(header, depth_image_fields(view.sigma_m)))
        if (cloud := output.cloud()) is not None:
            self._bag.write(self._topics.cloud, log_stamp_ns, make.cloud(header, organized_cloud_fields(*cloud)))
        self._bag.write(self._topics.status, log_stamp_ns, make.status(header, output.outcome, facts))

    def copy(self, message: BagMessage, quality_of_service: Iterable[Any]) -> None:
        """A message of the input, byte by byte, with the QoS profiles that were recorded with it.

        Raises:
            DataError: its topic is one of the outputs.
        """
        if message.topic in astuple(self._topics):
            raise DataError(f"{message.topic}: expected an input, got the name of an output; choose another namespace")
        if not self._bag.has_topic(message.topic):
            self._bag.connect(message.topic, message.message_type, list(quality_of_service))
        self._bag.write_raw(message.topic, message.log_stamp_ns, message.raw)
