# SPDX-License-Identifier: Apache-2.0
"""The same drive in the containers that people have, through `mono-depth replay`."""

from pathlib import Path

import numpy as np
import pytest
from bag_maker import STORE, write_bag
from dial_model import write_model
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from street_recording import IMAGES, Messages, Replayed, replay

from mono_depth_ros.datasets.bags.bag_samples import read_bag

MCAP, SQLITE = StoragePlugin.MCAP, StoragePlugin.SQLITE3
# Topic, encoding of the messages, name and encoding of their schema.
FOREIGN = {
    "json": ("/diagnosis", "json", "diagnosis", "jsonschema"),
    "json without a schema": ("/settings", "json", "", ""),
    "protobuf": ("/log", "protobuf", "some.Log", "protobuf"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its depth tells the red of the picture and the mean depth of the points."""
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def replayed(model, tmp_path, capsys):
    """What comes of a bag."""
    return lambda bag: replay(bag, tmp_path / f"depth_of_{bag.name}", capsys, "--model", str(model))


def same_depth(first: Replayed, second: Replayed) -> bool:
    """Whether two replays gave the same depth images, one for each image of the drive."""
    if not len(first.depths) == len(second.depths) == IMAGES:
        return False
    return all(np.array_equal(depth_m, second.depths[stamp_ns]) for stamp_ns, depth_m in first.depths.items())


def write_compressed(path: Path, messages: Messages, storage: StoragePlugin, mode: CompressionMode) -> Path:
    """The bag, compressed with zstd."""
    writer = Writer(path, version=9, storage_plugin=storage)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        types = {topic: message.__msgtype__ for topic, _, message in messages}
        connections = {topic: writer.add_connection(topic, kind, typestore=STORE) for topic, kind in types.items()}
        for topic, at_ns, message in messages:
            writer.write(connections[topic], at_ns, STORE.serialize_cdr(message, message.__msgtype__))
    return path


def write_mixed(path: Path, messages: Messages, *others: tuple[str, str, str, str]) -> Path:
    """One mcap file with channels that are not ROS 2's beside the messages."""
    from mcap.writer import Writer as McapWriter

    with path.open("wb") as file:
        writer = McapWriter(file)
        writer.start(profile="ros2", library="test")
        channels: dict[str, int] = {}
        foreign = []
        for topic, encoding, name, schema_encoding in others:
            schema = writer.register_schema(name, schema_encoding, b"") if name else 0
            foreign.append(writer.register_channel(topic, encoding, schema))
        for topic, at_ns, message in messages:
            if topic not in channels:
                schema = writer.register_schema(message.__msgtype__, "ros2msg", b"")
                channels[topic] = writer.register_channel(topic, "cdr", schema)
            raw = bytes(STORE.serialize_cdr(message, message.__msgtype__))
            writer.add_message(channels[topic], at_ns, raw, at_ns)
            for channel in foreign:
                writer.add_message(channel, at_ns, b"{}", at_ns)
        writer.finish()
    return path


@pytest.mark.parametrize(
    ("storage", "mode"),
    [
        (SQLITE, None),
        (SQLITE, CompressionMode.MESSAGE),
        (SQLITE, CompressionMode.FILE),
        (MCAP, CompressionMode.STORAGE),
    ],
    ids=["sqlite3", "zstd of messages", "zstd of files", "zstd of chunks"],
)
def test_the_container_does_not_change_the_depth(storage, mode, recording, replayed, tmp_path):
    plain = write_bag(tmp_path / "plain", recording.messages)
    if mode is None:
        other = write_bag(tmp_path / "other", recording.messages, storage)
    else:
        other = write_compressed(tmp_path / "other", recording.messages, storage, mode)
    assert same_depth(replayed(plain), replayed(other))


def test_a_file_alone_is_a_bag(recording, replayed, tmp_path):
    bag = write_bag(tmp_path / "bag", recording.messages)
    assert same_depth(replayed(bag), replayed(bag / "bag.mcap"))


@pytest.mark.parametrize("kind", FOREIGN)
def test_channels_that_are_not_of_ros_2_are_left_out_and_told(kind, recording, replayed, tmp_path):
    got = replayed(write_mixed(tmp_path / "mixed.mcap", recording.messages, FOREIGN[kind]))
    assert (got.exit_code, len(got.depths)) == (0, IMAGES), got.told
    assert FOREIGN[kind][0] in got.told
    assert f"{len(recording.messages)} messages" in got.told
    samples = read_bag(tmp_path / "mixed.mcap")
    assert len(list(samples)) == IMAGES
    told = [f"{count} x {why}" for why, count in samples.left_out.items() if why.startswith(FOREIGN[kind][0])]
    assert len(told) == 1 and told[0].startswith("1 x") and f"{len(recording.messages)} messages" in told[0]


def test_a_folder_without_metadata_is_to_be_indexed_again(recording, replayed, tmp_path):
    bag = write_bag(tmp_path / "bag", recording.messages)
    (bag / "metadata.yaml").unlink()
    refused(replayed(bag), "metadata.yaml", "ros2 bag reindex")


def test_a_recording_without_its_end_names_the_tool_that_saves_the_rest(recording, replayed, tmp_path):
    bag = write_bag(tmp_path / "bag", recording.messages)
    content = (bag / "bag.mcap").read_bytes()
    (bag / "bag.mcap").write_bytes(content[:-30_000])
    refused(replayed(bag), "mcap recover")
    refused(replayed(bag / "bag.mcap"), "mcap recover")


def test_a_missing_part_of_a_split_recording_is_named(recording, replayed, tmp_path):
    bag = write_bag(tmp_path / "bag", recording.messages)
    metadata = bag / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("- bag.mcap", "- bag.mcap\n  - bag_1.mcap", 1))
    refused(replayed(bag), "bag_1.mcap", "copy it there")


def test_a_recording_of_ros_1_is_to_be_converted(replayed, tmp_path):
    (tmp_path / "drive.bag").write_bytes(b"#ROSBAG V2.0\n" + bytes(4096))
    refused(replayed(tmp_path / "drive.bag"), "rosbags-convert")


def refused(got: Replayed, *words: str) -> None:
    """Fails unless the replay ended with one line that holds these words."""
    assert got.exit_code == 1
    assert got.told.startswith("mono-depth replay: bag ") and "Traceback" not in got.told
    for word in words:
        assert word in got.told, got.told
