# SPDX-License-Identifier: Apache-2.0
"""A new mcap bag that appears whole or not at all, and the messages to put into it; without ROS."""

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.messages.sensor_messages import SensorMessages


class NewBag:
    """A bag in the making. As a context manager it appears at `path` when the block ends without an error.

    Args:
        path: a folder that is not there yet.

    Attributes:
        store: the message definitions; more may be registered.
        types: message type -> class of its messages.
        messages: fills the common ones.

    Raises:
        ConfigError: the path is taken.
    """

    def __init__(self, path: Path) -> None:
        from rosbags.typesys import Stores, get_typestore

        if path.exists():
            raise ConfigError(
                f"output bag {path}: expected a new path, got an existing one; choose another or remove it"
            )
        self._path = path
        self.store = get_typestore(Stores.ROS2_JAZZY)
        self.types: Any = self.store.types
        self.messages = SensorMessages(self.types.__getitem__, lambda values: values)
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> "NewBag":
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

    def has_topic(self, topic: str) -> bool:
        """Whether a topic is connected."""
        return topic in self._connections

    def connect(self, topic: str, message_type: str, profiles: list[Any]) -> None:
        """Announces a topic with its QoS profiles (`reliable_qos`); once per topic."""
        self._connections[topic] = self._writer.add_connection(
            topic, message_type, typestore=self.store, offered_qos_profiles=profiles
        )

    def write(self, topic: str, log_stamp_ns: int, message: Any) -> None:
        """Writes a message of a connected topic, under the time of its recording."""
        self.write_raw(topic, log_stamp_ns, self.store.serialize_cdr(message, self._connections[topic].msgtype))

    def write_raw(self, topic: str, log_stamp_ns: int, raw: bytes | memoryview) -> None:
        """Writes a serialized message of a connected topic."""
        self._writer.write(self._connections[topic], log_stamp_ns, raw)


def reliable_qos(depth: int = 5, latched: bool = False) -> Any:
    """Reliable, the last `depth`; volatile, or for late subscribers too (`latched`, as /tf_static has to be)."""
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    unlimited = QosTime(0, 0)
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        unlimited,
        unlimited,
        QosLiveliness.AUTOMATIC,
        unlimited,
        False,
    )
