# SPDX-License-Identifier: Apache-2.0
"""Opens the files of a rosbag2: a folder with metadata.yaml, or a single .mcap or .db3, zstd-compressed or not.

Only ROS 2 messages (CDR) are given out; channels of other encodings beside them, such as JSON or protobuf, are only
counted. Definitions of message types that a file holds are not read.
"""

import importlib
import io
import sqlite3
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Protocol

from mono_depth_ros.errors import DataError
from mono_depth_ros.placeholder import placeholder

METADATA_FILE = "metadata.yaml"
MAX_METADATA_BYTES = 64 << 20
_SUFFIXES = (".mcap", ".db3")
_MCAP_MAGIC = b"\x89MCAP0\r\n"
_CDR = "cdr"
# No CDR message starts like this: its second byte tells the byte order.
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class StoredTopic:
    """One topic of one file.

    Attributes:
        encoding: of its messages; "cdr" is what ROS 2 writes.
        quality_of_service: offered profiles as YAML; empty if not recorded.
    """

    topic: str
    message_type: str
    encoding: str
    count: int
    quality_of_service: str

    @property
    def readable(self) -> bool:
        """Whether its messages are those of a ROS 2 type."""
        return self.encoding == _CDR and self.message_type != ""


StoredMessage = tuple[StoredTopic, int, bytes]


class BagFile(Protocol):
    """One open file of a bag.

    Attributes:
        topics: all, also those that cannot be read.
        first_ns, last_ns: time of recording; None without messages.
    """

    path: Path
    topics: list[StoredTopic]
    first_ns: int | None
    last_ns: int | None

    def messages(self, topics: Collection[str]) -> Iterator[StoredMessage]:
        """Topic, time of recording and bytes of the readable messages of some topics, in the order of recording."""
        ...


def open_bag(path: Path, stack: ExitStack) -> list[BagFile]:
    """Opens every file of a bag.

    Args:
        path: a folder or a file.
        stack: closes them.

    Raises:
        DataError: a file is missing or cannot be read; the message says what would help.
    """
    return [_open_file(file, stack) for file in (_files_of(path) if path.is_dir() else [path])]


def unreadable(path: Path, error: Exception) -> DataError:
    """What is wrong with a file that its reader refuses, and which tool saves what is there."""
    mend = f"sqlite3 {path} .recover | sqlite3 whole.db3"
    if ".mcap" in path.suffixes:
        mend = f"mcap recover {path} -o whole.mcap"
    got = f"{type(error).__name__}: {error}".removesuffix(": ")
    return _refused(path, got, f"if the recording or the copy was cut off, `{mend}` saves what is there")


def _refused(path: Path, got: str, hint: str) -> DataError:
    return DataError(f"bag {path}: expected a readable rosbag2 (mcap or sqlite3), got {got}; {hint}")


def _files_of(folder: Path) -> list[Path]:
    """The files that metadata.yaml names."""
    import yaml

    reindex = f"`ros2 bag reindex {folder}` writes {METADATA_FILE} anew from the files that are there"
    metadata = folder / METADATA_FILE
    if not metadata.exists():
        there = sorted(path.name for path in folder.iterdir() if path.name.removesuffix(".zstd").endswith(_SUFFIXES))
        if there:
            raise _refused(folder, f"no {METADATA_FILE} beside {', '.join(there)}", f"{reindex}, or name one file")
        if ros1 := sorted(folder.glob("*.bag")):
            raise _ros1(ros1[0], "it")
        raise _refused(folder, f"a folder without {METADATA_FILE}", "name the folder that `ros2 bag record` wrote")
    try:
        if metadata.stat().st_size > MAX_METADATA_BYTES:
            raise ValueError(f"more than {MAX_METADATA_BYTES} bytes")
        information = yaml.safe_load(metadata.read_text(encoding="utf-8"))["rosbag2_bagfile_information"]
        # Early versions wrote the folder's name before the file's.
        files = [folder / PurePath(name).name for name in information["relative_file_paths"]]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise _refused(metadata, f"{type(error).__name__}: {error}", reindex) from error
    if missing := [file.name for file in files if not file.exists()]:
        raise _refused(
            folder,
            f"no {', '.join(missing)}, which {METADATA_FILE} names",
            f"copy it there, or go without it: {reindex}",
        )
    return files


def _open_file(path: Path, stack: ExitStack) -> BagFile:
    """The file, told by its first bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
        if start.startswith(_MCAP_MAGIC):
            return McapFile(path, stack)
        if start.startswith(b"SQLite format 3"):
            return SqliteFile(path, stack)
        if start.startswith(_ZSTD_MAGIC):
            return _open_file(_unpacked(path, stack), stack)
        if start.startswith(b"#ROSBAG"):
            raise _ros1(path, "it")
        raise _refused(
            path,
            placeholder(path) or "a file of neither kind",
            "name the folder that `ros2 bag record` wrote, or its file",
        )
    except DataError:
        raise
    except Exception as error:  # the readers meet broken files with errors of a dozen types
        raise unreadable(path, error) from error


def _ros1(path: Path, source: str) -> DataError:
    convert = f"`rosbags-convert --src {path.with_suffix('.bag')} --dst FOLDER` makes a rosbag2 of {source}"
    return _refused(path, "a recording of ROS 1", convert)


def _unpacked(path: Path, stack: ExitStack) -> Path:
    """The file without its compression, in a temporary folder."""
    zstandard = _package("zstandard")
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    whole = Path(folder, path.name.removesuffix(".zstd"))
    with path.open("rb") as packed, whole.open("wb") as file:
        zstandard.ZstdDecompressor().copy_stream(packed, file)
    return whole


def _message(raw: bytes) -> bytes:
    """A message as it was sent; rosbag2 can compress each by itself."""
    if raw[:4] != _ZSTD_MAGIC:
        return raw
    return bytes(_package("zstandard").ZstdDecompressor().decompressobj().decompress(raw))


class SqliteFile:
    """A .db3 file; see BagFile."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        # Immutable: a recording on a read-only disk opens too, and no files are made beside it.
        self._database = sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)
        stack.callback(self._database.close)
        counts = {
            number: numbers
            for number, *numbers in self._database.execute(
                "SELECT topic_id, COUNT(*), MIN(timestamp), MAX(timestamp) FROM messages GROUP BY topic_id"
            )
        }
        self.first_ns = min((first for _, first, _ in counts.values()), default=None)
        self.last_ns = max((last for _, _, last in counts.values()), default=None)
        # The first version of rosbag2 recorded no profiles.
        columns = {row[1] for row in self._database.execute("PRAGMA table_info(topics)")}
        profiles = "offered_qos_profiles" if "offered_qos_profiles" in columns else "''"
        self._topics = {
            number: StoredTopic(topic, kind, encoding, counts.get(number, [0])[0], profile or "")
            for number, topic, kind, encoding, profile in self._database.execute(
                f"SELECT id, name, type, serialization_format, {profiles} FROM topics ORDER BY id"
            )
        }
        self.topics = list(self._topics.values())

    def messages(self, topics: Collection[str]) -> Iterator[StoredMessage]:
        """See BagFile."""
        numbers = [number for number, stored in self._topics.items() if stored.topic in topics and stored.readable]
        rows = self._database.execute(
            "SELECT topic_id, timestamp, data FROM messages "
            f"WHERE topic_id IN ({','.join('?' * len(numbers))}) ORDER BY timestamp",
            numbers,
        )
        for number, log_stamp_ns, raw in rows:
            yield self._topics[number], log_stamp_ns, _message(raw)


class McapFile:
    """An .mcap file; see BagFile. One without an index is read from front to back, in the order of the file."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        _package("mcap")
        from mcap.reader import make_reader

        self.path = path
        file = stack.enter_context(path.open("rb"))
        self._reader = make_reader(file, validate_crcs=True)
        if self._reader.get_header().profile == "ros1":
            raise _ros1(path, "the .bag that it was made from")
        file.seek(-len(_MCAP_MAGIC), io.SEEK_END)
        if file.read() != _MCAP_MAGIC:
            raise EOFError("the file has no end")
        summary: Any = self._reader.get_summary()
        # An index may leave out the channels or the counts, and then does not lead to the messages of a topic.
        self._indexed = bool(
            summary is not None
            and summary.statistics is not None
            and summary.chunk_indexes
            and set(summary.statistics.channel_message_counts) <= set(summary.channels)
        )
        if self._indexed:
            schemas, channels, statistics = summary.schemas, summary.channels, summary.statistics
            counts = statistics.channel_message_counts
            self.first_ns, self.last_ns = statistics.message_start_time, statistics.message_end_time
        else:
            schemas, channels, counts, self.first_ns, self.last_ns = _scan_mcap(path)
        self._topics = {
            number: StoredTopic(
                channel.topic,
                schemas[channel.schema_id].name if channel.schema_id in schemas else "",
                channel.message_encoding,
                counts.get(number, 0),
                channel.metadata.get("offered_qos_profiles", ""),
            )
            for number, channel in channels.items()
        }
        self.topics = list(self._topics.values())

    def messages(self, topics: Collection[str]) -> Iterator[StoredMessage]:
        """See BagFile."""
        from mcap.reader import NonSeekingReader

        with ExitStack() as stack:
            reader = self._reader
            if not self._indexed:
                reader = NonSeekingReader(stack.enter_context(self.path.open("rb")), validate_crcs=True)
            for _, channel, message in reader.iter_messages(topics, log_time_order=self._indexed):
                stored = self._topics[channel.id]
                if stored.readable:
                    yield stored, message.log_time, _message(message.data)


def _scan_mcap(path: Path) -> tuple[dict[int, Any], dict[int, Any], dict[int, int], int | None, int | None]:
    """Schemas, channels, messages per channel, first and last time of a file without an index."""
    from mcap.records import Channel, Message, Schema
    from mcap.stream_reader import StreamReader

    schemas: dict[int, Any] = {}
    channels: dict[int, Any] = {}
    counts: dict[int, int] = {}
    first_ns: int | None = None
    last_ns: int | None = None
    with path.open("rb") as file:
        for record in StreamReader(file, validate_crcs=True).records:
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                channels[record.id] = record
            elif isinstance(record, Message):
                counts[record.channel_id] = counts.get(record.channel_id, 0) + 1
                first_ns = min(record.log_time, record.log_time if first_ns is None else first_ns)
                last_ns = max(record.log_time, record.log_time if last_ns is None else last_ns)
    return schemas, channels, counts, first_ns, last_ns


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise DataError(f"bag: expected the Python package {name}, got none; pip install {name}") from error
