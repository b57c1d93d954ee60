# SPDX-License-Identifier: Apache-2.0
"""Reads a rosbag2 (mcap or sqlite3) without ROS, message by message.

Only message types of the standard ROS packages are decoded, by definitions that come with the reader: definitions
stored in a bag are never compiled. What is held in memory at a time is bounded.
"""

import heapq
import struct
from collections.abc import Collection, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from mono_depth_ros.datasets.bags.containers import open_bag, unreadable
from mono_depth_ros.datasets.bags.topics import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    LASER_SCAN,
    ODOMETRY,
    POINT_CLOUD,
    RANGE,
    TRANSFORMS,
    TWIST,
    describe_topics,
)
from mono_depth_ros.errors import DataError
from mono_depth_ros.intake.transform_tree import TransformTree

MAX_MESSAGE_BYTES = 256 << 20
MAX_PENDING_BYTES = 1 << 30
MAX_STATIC_MESSAGES = 10_000

# At one stamp an image comes last: it asks what the others have said.
_ORDER = {
    TRANSFORMS: 0,
    CAMERA_INFO: 1,
    ODOMETRY: 2,
    TWIST: 2,
    POINT_CLOUD: 3,
    LASER_SCAN: 3,
    RANGE: 3,
    COMPRESSED_IMAGE: 4,
    IMAGE: 4,
}
_LAST = 5
_WITH_HEADER = frozenset(_ORDER) - {TRANSFORMS}


@dataclass(frozen=True, slots=True, eq=False)
class BagMessage:
    """One message as it is stored.

    Attributes:
        log_stamp_ns: when it was recorded.
        stamp_ns: of its header; `log_stamp_ns` for types without one.
        raw: the serialized message (CDR).
    """

    topic: str
    message_type: str
    log_stamp_ns: int
    stamp_ns: int
    raw: bytes


class Rosbag2Reader:
    """An open bag: a folder with metadata.yaml, or a single .mcap or .db3 file. Use it as a context manager.

    Attributes:
        types: topic -> message type.
        counts: topic -> number of messages.
        skipped: topic -> what it holds that is no ROS 2 message, such as "40 messages in json"; it is not in `types`.
        start_ns, end_ns: first and last time of recording.

    Raises:
        DataError: it is not there, cannot be read, or the package `rosbags` is missing.
    """

    def __init__(self, path: Path) -> None:
        try:
            from rosbags.typesys import Stores, get_typestore
        except ModuleNotFoundError as error:
            raise DataError("bag: expected the Python package rosbags, got none; pip install rosbags") from error
        if not path.exists():
            raise DataError(f"bag {path}: expected a rosbag2 folder or a .mcap or .db3 file, got nothing there")
        self.path = path
        self._store = get_typestore(Stores.ROS2_JAZZY)
        with ExitStack() as stack:
            self._files = open_bag(path, stack)
            self._open = stack.pop_all()
        self._stored = [stored for file in self._files for stored in file.topics]
        self.types: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        skipped: dict[tuple[str, str], int] = {}
        for stored in self._stored:
            if stored.readable:
                self.types.setdefault(stored.topic, stored.message_type)
                self.counts[stored.topic] = self.counts.get(stored.topic, 0) + stored.count
            else:
                what = (stored.topic, stored.encoding if stored.message_type else f"{stored.encoding} without a schema")
                skipped[what] = skipped.get(what, 0) + stored.count
        self.skipped = {topic: f"{count} messages in {encoding}" for (topic, encoding), count in skipped.items()}
        self.start_ns = min((file.first_ns for file in self._files if file.first_ns is not None), default=0)
        self.end_ns = max((file.last_ns for file in self._files if file.last_ns is not None), default=0)

    def __enter__(self) -> "Rosbag2Reader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files; may be called twice."""
        self._open.close()

    def messages_as_recorded(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """The messages of some topics in the order of recording (`log_stamp_ns`), as a node would have received them.

        Raises:
            DataError: a topic is not in the bag, or the bag is broken.
        """
        if missing := [topic for topic in topics if topic not in self.types]:
            raise DataError(f"bag {self.path}: expected topics {missing}, got none; {describe_topics(self.types)}")
        return self._recorded(topics)

    def messages(
        self, topics: Collection[str], reorder_s: float = 1.0, last_topic: str | None = None
    ) -> Iterator[BagMessage]:
        """The messages of some topics in the order of their header stamps, not of their arrival in the recorder.

        Messages are held back until the recording is `reorder_s` further (less if they fill the memory), so a message
        that was recorded later than that keeps its late place, as on a robot. At equal stamps images come last, and of
        these those of `last_topic`.

        Raises:
            DataError: a topic is not in the bag, or the bag is broken.
        """
        pending: list[tuple[int, int, int, BagMessage]] = []
        pending_bytes = 0
        window_ns = int(reorder_s * 1e9)
        for number, message in enumerate(self.messages_as_recorded(topics)):
            order = _LAST if message.topic == last_topic else _ORDER.get(message.message_type, 0)
            heapq.heappush(pending, (message.stamp_ns, order, number, message))
            pending_bytes += len(message.raw)
            while pending and (
                pending[0][3].log_stamp_ns < message.log_stamp_ns - window_ns or pending_bytes > MAX_PENDING_BYTES
            ):
                released = heapq.heappop(pending)[3]
                pending_bytes -= len(released.raw)
                yield released
        while pending:
            yield heapq.heappop(pending)[3]

    def decode(self, message: BagMessage) -> Any:
        """The message as an object with the attributes of its ROS type.

        Raises:
            DataError: it is of another type than the standard ones, or its bytes are broken.
        """
        try:
            return self._store.deserialize_cdr(message.raw, message.message_type)
        except Exception as error:  # broken bytes raise anything from struct.error to UnicodeDecodeError
            raise DataError(
                f"{message.topic}: {len(message.raw)} bytes at {message.log_stamp_ns} ns cannot be decoded as "
                f"{message.message_type} ({type(error).__name__}: {error})"
            ) from error

    def static_transforms(self) -> TransformTree:
        """The tree of every /tf_static message in the bag; a transform that is broken is not in it.

        Raises:
            DataError: the bag is broken, or has more such messages than any robot.
        """
        transforms = TransformTree()
        topics = [topic for topic, kind in self.types.items() if kind == TRANSFORMS and topic.endswith("/tf_static")]
        if not topics:
            return transforms
        for number, message in enumerate(self.messages_as_recorded(topics)):
            if number >= MAX_STATIC_MESSAGES:
                raise DataError(f"{message.topic}: expected at most {MAX_STATIC_MESSAGES} messages, got more")
            with suppress(DataError):  # whoever reads the drive meets it again, and counts it
                transforms.put(self.decode(message))
        return transforms

    def quality_of_service(self, topic: str) -> list[Any]:
        """The recorded QoS profiles of a topic, as the writer of `rosbags` takes them; none if they cannot be read."""
        from rosbags.rosbag2.metadata import parse_qos

        texts = {stored.quality_of_service for stored in self._stored if stored.readable and stored.topic == topic}
        try:
            return [profile for text in sorted(texts) for profile in parse_qos(text)]
        except Exception:  # text of another program: any type, from the reader's own to TypeError
            return []

    def _recorded(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Messages in the order of recording."""
        for file in self._files:
            messages = file.messages(topics)
            while True:
                try:
                    stored, log_stamp_ns, raw = next(messages)
                except StopIteration:
                    break
                except Exception as error:
                    raise unreadable(file.path, error) from error
                if len(raw) > MAX_MESSAGE_BYTES:
                    raise DataError(
                        f"{stored.topic}: expected messages of at most {MAX_MESSAGE_BYTES} bytes, got {len(raw)}"
                    )
                stamp_ns = _header_stamp_ns(raw[:12], stored.message_type, log_stamp_ns)
                yield BagMessage(stored.topic, stored.message_type, log_stamp_ns, stamp_ns, raw)


def arrival_order(message_type: str) -> int:
    """Of messages of one time, in which order a robot would have them: an image comes last."""
    return _ORDER.get(message_type, 0)


def _header_stamp_ns(start: bytes, message_type: str, log_stamp_ns: int) -> int:
    """The header's stamp, read from the first bytes without decoding the message; see OMG CDR for the first four."""
    if message_type not in _WITH_HEADER or len(start) < 12:
        return log_stamp_ns
    seconds, nanoseconds = struct.unpack("<iI" if start[1] & 1 else ">iI", start[4:12])
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
