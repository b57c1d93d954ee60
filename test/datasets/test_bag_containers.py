# SPDX-License-Identifier: Apache-2.0
"""Bags in every container: compression, channels that are not of ROS 2, missing and broken files, and advice."""

import sqlite3
from pathlib import Path

import pytest
from bag_maker import IMAGE_TOPIC, INFO_TOPIC, START_NS, STORE, drive_messages, image_message, write_bag
from mcap.writer import CompressionType, IndexType, Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as BagWriter

from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
from mono_depth_ros.errors import DataError

# Topic, encoding of messages, name, encoding and text of the schema; no schema without a name.
FOREIGN = {
    "json": ("/diagnosis", "json", "diagnosis", "jsonschema", b"{}"),
    "json without a schema": ("/settings", "json", "", "", b""),
    "protobuf": ("/log", "protobuf", "some.Log", "protobuf", b"\x0a\xff\xfe"),
    "cdr without a schema": ("/nameless", "cdr", "", "", b""),
}
# Those of ROS 2 types that nobody has here.
UNKNOWN = {
    "idl": ("/vendor", "cdr", "vendor/msg/Odd", "ros2idl", b"module vendor { struct Odd { long a; }; };"),
    "broken": ("/vendor", "cdr", "vendor/msg/Odd", "ros2msg", b"nobody/Missing x\n"),
    "empty": ("/vendor", "cdr", "vendor/msg/Odd", "ros2msg", b""),
    "undocumented": ("/vendor", "cdr", "vendor/msg/Odd", "", b""),
    "no text": ("/vendor", "cdr", "vendor/msg/Odd", "ros2msg", b"\xff\xfe"),
}


def write_mcap(path: Path, *others, profile="ros2", **options) -> Path:
    """Two camera_info, and a message of each other channel beside them."""
    infos = [message for topic, _, message in drive_messages(images=2) if topic == INFO_TOPIC]
    with path.open("wb") as file:
        writer = Writer(file, **options)
        writer.start(profile=profile, library="test")
        channels = []
        for topic, encoding, name, schema_encoding, text in others:
            schema = writer.register_schema(name, schema_encoding, text) if name else 0
            channels.append(writer.register_channel(topic, encoding, schema))
        schema = writer.register_schema("sensor_msgs/msg/CameraInfo", "ros2msg", b"")
        mine = writer.register_channel(INFO_TOPIC, "cdr", schema, {"offered_qos_profiles": "no list"})
        for number, info in enumerate(infos):
            stamp_ns = START_NS + number
            writer.add_message(mine, stamp_ns, bytes(STORE.serialize_cdr(info, info.__msgtype__)), stamp_ns)
            for channel in channels:
                writer.add_message(channel, stamp_ns, b'{"a": 1}', stamp_ns)
        writer.finish()
    return path


def widths_px(path: Path) -> list[int]:
    with Rosbag2Reader(path) as bag:
        return [bag.decode(message).width for message in bag.messages([INFO_TOPIC])]


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_channel_of_another_encoding_is_counted_and_the_rest_is_read(tmp_path, kind):
    path = write_mcap(tmp_path / "mixed.mcap", FOREIGN[kind])
    with Rosbag2Reader(path) as bag:
        assert list(bag.types) == [INFO_TOPIC]
        assert bag.skipped == {FOREIGN[kind][0]: f"2 messages in {kind}"}
    assert widths_px(path) == [64, 64]


@pytest.mark.parametrize("kind", UNKNOWN)
def test_a_definition_that_nobody_can_read_costs_nothing(tmp_path, kind):
    path = write_mcap(tmp_path / "mixed.mcap", UNKNOWN[kind])
    with Rosbag2Reader(path) as bag:
        assert bag.types["/vendor"] == "vendor/msg/Odd"
        assert bag.counts["/vendor"] == 2
    assert widths_px(path) == [64, 64]


def test_a_topic_with_ros_and_other_messages_gives_those_of_ros(tmp_path):
    path = write_mcap(tmp_path / "mixed.mcap", (INFO_TOPIC, "json", "", "", b""))
    with Rosbag2Reader(path) as bag:
        assert bag.counts == {INFO_TOPIC: 2}
    assert widths_px(path) == [64, 64]


def test_profiles_that_cannot_be_read_are_none(tmp_path):
    with Rosbag2Reader(write_mcap(tmp_path / "bag.mcap")) as bag:
        assert bag.quality_of_service(INFO_TOPIC) == []


@pytest.mark.parametrize("compression", CompressionType)
def test_an_mcap_is_read_whatever_its_compression(tmp_path, compression):
    assert widths_px(write_mcap(tmp_path / "bag.mcap", compression=compression)) == [64, 64]


@pytest.mark.parametrize(
    "options",
    [
        {"use_chunking": False},
        {"index_types": IndexType.NONE},
        {"repeat_channels": False, "repeat_schemas": False},
        {"use_statistics": False},
        {
            "use_statistics": False,
            "use_summary_offsets": False,
            "repeat_channels": False,
            "index_types": IndexType.NONE,
        },
    ],
    ids=str,
)
def test_an_mcap_without_a_part_of_its_index_is_read(tmp_path, options):
    path = write_mcap(tmp_path / "bag.mcap", FOREIGN["json"], **options)
    with Rosbag2Reader(path) as bag:
        assert (bag.counts, bag.start_ns, bag.end_ns) == ({INFO_TOPIC: 2}, START_NS, START_NS + 1)
    assert widths_px(path) == [64, 64]


def test_an_mcap_without_a_profile_is_read(tmp_path):
    assert widths_px(write_mcap(tmp_path / "merged.mcap", profile="")) == [64, 64]


@pytest.mark.parametrize(
    ("storage", "mode"),
    [
        (StoragePlugin.MCAP, CompressionMode.FILE),
        (StoragePlugin.MCAP, CompressionMode.MESSAGE),
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
        (StoragePlugin.SQLITE3, CompressionMode.FILE),
        (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    ],
)
def test_a_compressed_bag_is_read_as_a_folder_and_as_a_file(tmp_path, storage, mode):
    image = image_message(START_NS, drive_messages(1)[1][2].data.reshape(32, 64, 3))
    writer = BagWriter(tmp_path / "bag", version=9, storage_plugin=storage)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(IMAGE_TOPIC, image.__msgtype__, typestore=STORE)
        writer.write(connection, START_NS, STORE.serialize_cdr(image, image.__msgtype__))
    (file,) = (path for path in (tmp_path / "bag").iterdir() if path.name != "metadata.yaml")
    for path in (tmp_path / "bag", file):
        with Rosbag2Reader(path) as bag:
            (message,) = bag.messages([IMAGE_TOPIC])
            assert bag.decode(message).width == 64
            assert message.stamp_ns == START_NS


def test_a_topic_of_a_database_in_another_encoding_is_counted(tmp_path):
    path = write_bag(tmp_path / "bag", drive_messages(images=2), StoragePlugin.SQLITE3)
    database = sqlite3.connect(path / "bag.db3")
    database.execute("UPDATE topics SET serialization_format = 'json' WHERE name = ?", (IMAGE_TOPIC,))
    database.execute("UPDATE message_definitions SET encoding = 'unknown'")
    database.commit()
    database.close()
    with Rosbag2Reader(path) as bag:
        assert IMAGE_TOPIC not in bag.types
        assert bag.skipped == {IMAGE_TOPIC: "2 messages in json"}
    assert widths_px(path) == [64, 64]


def test_a_database_of_the_first_version_is_read(tmp_path):
    path = write_bag(tmp_path / "bag", drive_messages(images=2), StoragePlugin.SQLITE3)
    database = sqlite3.connect(path / "bag.db3")
    database.execute("ALTER TABLE topics DROP COLUMN offered_qos_profiles")
    database.execute("DROP TABLE message_definitions")
    database.close()
    assert widths_px(path) == [64, 64]


def refusal(path: Path) -> str:
    with pytest.raises(DataError, match="expected a readable rosbag2") as caught, Rosbag2Reader(path) as bag:
        list(bag.messages([INFO_TOPIC]))
    return str(caught.value)


def test_a_folder_without_metadata_is_to_be_indexed_again(tmp_path):
    path = write_bag(tmp_path / "bag", drive_messages(images=1))
    (path / "metadata.yaml").unlink()
    assert f"no metadata.yaml beside bag.mcap; `ros2 bag reindex {path}`" in refusal(path)


@pytest.mark.parametrize("text", ["", "rosbag2_bagfile_information:\n  version: 9\n", "{", "- 1\n", "\x00"])
def test_metadata_that_cannot_be_read_is_to_be_made_again(tmp_path, text):
    path = write_bag(tmp_path / "bag", drive_messages(images=1))
    (path / "metadata.yaml").write_text(text)
    assert f"`ros2 bag reindex {path}`" in refusal(path)


def test_a_missing_part_of_a_split_bag_is_named(tmp_path):
    path = write_bag(tmp_path / "bag", drive_messages(images=1))
    metadata = path / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("- bag.mcap", "- bag.mcap\n  - bag_1.mcap", 1))
    message = refusal(path)
    assert "no bag_1.mcap, which metadata.yaml names; copy it there" in message
    assert "ros2 bag reindex" in message


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize(
    ("storage", "name", "tool"),
    [(StoragePlugin.MCAP, "bag.mcap", "mcap recover"), (StoragePlugin.SQLITE3, "bag.db3", ".recover | sqlite3")],
)
def test_a_file_that_was_cut_off_names_the_tool_that_saves_the_rest(tmp_path, share, storage, name, tool):
    path = write_bag(tmp_path / "bag", drive_messages(images=9), storage) / name
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    message = refusal(path.parent)
    assert tool in message
    assert "reindex" not in message


@pytest.mark.parametrize("name", ["drive.bag", "renamed.mcap"])
def test_a_bag_of_ros_1_is_to_be_converted(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"#ROSBAG V2.0\n" + bytes(100))
    message = refusal(path)
    assert f"got a recording of ROS 1; `rosbags-convert --src {tmp_path / path.stem}.bag --dst" in message
    assert "reindex" not in message


def test_an_mcap_of_ros_1_tells_which_file_is_to_be_converted(tmp_path):
    path = write_mcap(tmp_path / "drive.mcap", profile="ros1")
    assert "drive.bag --dst FOLDER` makes a rosbag2 of the .bag that it was made from" in refusal(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer.*git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"PK\x03\x04", "a file of neither kind"),
    ],
)
def test_what_stands_in_place_of_a_recording_is_named(tmp_path, content, what):
    path = tmp_path / "drive.mcap"
    path.write_bytes(content)
    with pytest.raises(DataError, match=what):
        Rosbag2Reader(path)
