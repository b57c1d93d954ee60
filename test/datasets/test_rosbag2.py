# SPDX-License-Identifier: Apache-2.0
"""Bags: order of messages, both storages, transforms, and broken files."""

import numpy as np
import pytest
from bag_maker import (
    BASE_FRAME,
    CAMERA_FRAME,
    IMAGE_TOPIC,
    INFO_TOPIC,
    LIDAR_FRAME,
    LIDAR_HEIGHT_M,
    ODOMETRY_TOPIC,
    PERIOD_NS,
    POINTS_TOPIC,
    START_NS,
    drive_messages,
    info_message,
    odometry_message,
    points_message,
    wall_points,
    write_bag,
)
from rosbags.rosbag2 import StoragePlugin

from mono_depth_ros.datasets.bags import reader as rosbag2
from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
from mono_depth_ros.errors import DataError


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_both_storages_are_read(tmp_path, storage):
    with Rosbag2Reader(write_bag(tmp_path / "bag", drive_messages(images=3), storage)) as bag:
        assert bag.types[POINTS_TOPIC] == "sensor_msgs/msg/PointCloud2"
        assert bag.counts[IMAGE_TOPIC] == 3
        assert bag.start_ns == START_NS
        decoded = [bag.decode(message) for message in bag.messages([INFO_TOPIC])]
    assert [info.width for info in decoded] == [64, 64, 64]


def test_a_single_mcap_file_is_read(tmp_path):
    write_bag(tmp_path / "bag", drive_messages(images=2))
    with Rosbag2Reader(tmp_path / "bag" / "bag.mcap") as bag:
        assert len(list(bag.messages([IMAGE_TOPIC]))) == 2


def test_an_image_comes_after_everything_else_of_its_stamp(tmp_path):
    topics = [IMAGE_TOPIC, INFO_TOPIC, POINTS_TOPIC, ODOMETRY_TOPIC]
    with Rosbag2Reader(write_bag(tmp_path / "bag", drive_messages(images=2))) as bag:
        order = [message.topic for message in bag.messages(topics)]
    assert order == [INFO_TOPIC, ODOMETRY_TOPIC, POINTS_TOPIC, IMAGE_TOPIC] * 2


def test_messages_come_in_the_order_of_their_header_stamps(tmp_path):
    late = points_message(START_NS, wall_points(10.0, 8))  # stamped first, recorded 0.3 s later
    messages = [
        (ODOMETRY_TOPIC, START_NS + number * PERIOD_NS, odometry_message(START_NS + number * PERIOD_NS, 0.0, 0.0))
        for number in range(8)
    ]
    messages.insert(4, (POINTS_TOPIC, START_NS + 3 * PERIOD_NS + 1, late))
    with Rosbag2Reader(write_bag(tmp_path / "bag", messages)) as bag:
        ordered = list(bag.messages([ODOMETRY_TOPIC, POINTS_TOPIC]))
    assert [message.topic for message in ordered[:2]] == [ODOMETRY_TOPIC, POINTS_TOPIC]
    stamps = [message.stamp_ns for message in ordered]
    assert stamps == sorted(stamps)


def test_messages_as_recorded_come_in_the_order_of_recording(tmp_path):
    topics = [ODOMETRY_TOPIC, POINTS_TOPIC]
    stamped_late = points_message(START_NS + PERIOD_NS, wall_points(10.0, 8))
    messages = [
        (POINTS_TOPIC, START_NS, stamped_late),
        (ODOMETRY_TOPIC, START_NS + 1, odometry_message(START_NS, 0.0, 0.0)),
    ]
    with Rosbag2Reader(write_bag(tmp_path / "bag", messages)) as bag:
        assert [message.topic for message in bag.messages_as_recorded(topics)] == [POINTS_TOPIC, ODOMETRY_TOPIC]
        assert [message.topic for message in bag.messages(topics)] == [ODOMETRY_TOPIC, POINTS_TOPIC]
        with pytest.raises(DataError, match=r"expected topics \['/gps'\]"):
            bag.messages_as_recorded(["/gps"])


def test_messages_later_than_the_window_keep_their_late_place(tmp_path):
    messages = [
        (ODOMETRY_TOPIC, START_NS + number * PERIOD_NS, odometry_message(START_NS + number * PERIOD_NS, 0.0, 0.0))
        for number in range(8)
    ]
    messages.append((POINTS_TOPIC, START_NS + 8 * PERIOD_NS, points_message(START_NS, wall_points(10.0, 8))))
    with Rosbag2Reader(write_bag(tmp_path / "bag", messages)) as bag:
        order = [message.topic for message in bag.messages([ODOMETRY_TOPIC, POINTS_TOPIC], reorder_s=0.2)]
    # When it was recorded at 0.8 s, the five messages older than 0.7 s - 0.2 s were out already.
    assert order.index(POINTS_TOPIC) == 5


def test_what_waits_to_be_ordered_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(rosbag2, "MAX_PENDING_BYTES", 1)
    bag_path = write_bag(tmp_path / "bag", drive_messages(images=2))
    with Rosbag2Reader(bag_path) as bag:
        order = [message.topic for message in bag.messages([IMAGE_TOPIC, INFO_TOPIC])]
    assert order == [IMAGE_TOPIC, INFO_TOPIC] * 2  # as recorded, since nothing may wait


def test_a_message_beyond_the_size_limit_is_refused(tmp_path, monkeypatch):
    bag_path = write_bag(tmp_path / "bag", drive_messages(images=1))
    monkeypatch.setattr(rosbag2, "MAX_MESSAGE_BYTES", 1000)
    with Rosbag2Reader(bag_path) as bag, pytest.raises(DataError, match="at most 1000 bytes"):
        list(bag.messages([IMAGE_TOPIC]))


def test_static_transforms_connect_lidar_and_camera(tmp_path):
    with Rosbag2Reader(write_bag(tmp_path / "bag", drive_messages(images=1))) as bag:
        transforms = bag.static_transforms()
    T_camera_lidar = transforms.lookup(CAMERA_FRAME, LIDAR_FRAME)
    np.testing.assert_allclose(T_camera_lidar @ [10.0, 0.0, -LIDAR_HEIGHT_M, 1.0], [0.0, 0.0, 10.0, 1.0], atol=1e-12)
    assert BASE_FRAME in transforms.frames()


def test_a_missing_topic_lists_what_the_bag_has(tmp_path):
    with (
        Rosbag2Reader(write_bag(tmp_path / "bag", drive_messages(images=1))) as bag,
        pytest.raises(DataError, match=rf"expected topics \['/gps'\].*the bag has: .*{IMAGE_TOPIC}"),
    ):
        list(bag.messages(["/gps"]))


def test_nothing_at_the_path_is_an_error(tmp_path):
    with pytest.raises(DataError, match="got nothing there"):
        Rosbag2Reader(tmp_path / "missing")


def test_a_folder_that_is_no_bag_is_an_error(tmp_path):
    with pytest.raises(DataError, match="expected a readable rosbag2"):
        Rosbag2Reader(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_bag_that_was_cut_off_is_an_error(tmp_path, share):
    path = write_bag(tmp_path / "bag", drive_messages(images=3)) / "bag.mcap"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match="expected a readable rosbag2"), Rosbag2Reader(path) as bag:
        list(bag.messages([IMAGE_TOPIC]))


def test_broken_bytes_of_a_message_are_an_error_that_names_the_topic(tmp_path):
    broken = ("sensor_msgs/msg/CameraInfo", b"\x00\x01\x00\x00" + b"\xff" * 40)
    with Rosbag2Reader(write_bag(tmp_path / "bag", [(INFO_TOPIC, START_NS, broken)])) as bag:
        (message,) = bag.messages([INFO_TOPIC])
        with pytest.raises(DataError, match=f"{INFO_TOPIC}: 44 bytes .* cannot be decoded"):
            bag.decode(message)


def test_a_definition_in_the_bag_is_not_compiled(tmp_path):
    definition = "int32 x\nint32 y=__import__('os').mkdir('was_here')\n"
    from rosbags.rosbag2 import Writer

    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/odd", "odd_msgs/msg/Odd", msgdef=definition, rihs01="RIHS01_0")
        writer.write(connection, START_NS, b"\x00\x01\x00\x00" + bytes(8))
    with Rosbag2Reader(tmp_path / "bag") as bag:
        (message,) = bag.messages(["/odd"])
        with pytest.raises(DataError, match="cannot be decoded as odd_msgs/msg/Odd"):
            bag.decode(message)


def test_stamps_are_read_from_the_header_without_decoding(tmp_path):
    stamp_ns = START_NS + 123_456_789
    with Rosbag2Reader(write_bag(tmp_path / "bag", [(INFO_TOPIC, START_NS, info_message(stamp_ns))])) as bag:
        (message,) = bag.messages([INFO_TOPIC])
    assert (message.stamp_ns, message.log_stamp_ns) == (stamp_ns, START_NS)
