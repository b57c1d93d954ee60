# SPDX-License-Identifier: Apache-2.0
"""The drive that these tests change."""

from pathlib import Path

import pytest
from street_recording import Recording, record

# What is not as it should be yet, and has to be told once it is.
OPEN = {
    "clouds: 64-bit times are refused, and times that make no sense cost the points": (
        "test_a_recording_gives_the_depth_that_it_allows[times: u64 clock in ns, as PCL writes it]",
        "test_a_recording_gives_the_depth_that_it_allows[times: u64 ns after the stamp, as PCL writes it]",
        "test_a_recording_gives_the_depth_that_it_allows[times: a clock 37 s ahead of the header's]",
        "test_a_recording_gives_the_depth_that_it_allows[times: the LiDAR's own uptime]",
        "test_a_recording_gives_the_depth_that_it_allows[times: f32 in us]",
        "test_a_recording_gives_the_depth_that_it_allows[times: f32 in ns]",
        "test_a_recording_gives_the_depth_that_it_allows[times: f32 in ms]",
        "test_a_recording_gives_the_depth_that_it_allows[times: u32 in us, a turn of less than a millisecond]",
        "test_a_recording_gives_the_depth_that_it_allows[times: shares of a turn]",
        "test_a_recording_gives_the_depth_that_it_allows[times: one of thousands is wrong]",
    ),
    "clouds: zeros and hits on the robot are measurements": (
        "test_a_recording_gives_the_depth_that_it_allows[returns: none is (0, 0, 0)]",
        "test_a_recording_gives_the_depth_that_it_allows[returns: on the robot's own body]",
        "test_a_recording_gives_the_depth_that_it_allows[returns: a covered LiDAR, (0, 0, 0) only]",
    ),
    "clouds: one of height 0 is not told": (
        "test_a_recording_gives_the_depth_that_it_allows[points: a cloud of height 0]",
    ),
    "stamps of zero are not refused by the bag's intake": (
        "test_a_recording_gives_the_depth_that_it_allows[points: stamps zero]",
        "test_a_recording_gives_the_depth_that_it_allows[stamps: nobody fills them in]",
        "test_a_recording_gives_the_depth_that_it_allows[stamps: the odometry's are zero]",
        "test_a_recording_gives_the_depth_that_it_allows[stamps: a clock that begins at 0]",
    ),
    "stamps of another clock are not told": (
        "test_a_recording_gives_the_depth_that_it_allows[points: stamps 37 s ahead]",
        "test_a_recording_gives_the_depth_that_it_allows[points: stamps two hours behind]",
        "test_a_recording_gives_the_depth_that_it_allows[points: stamps since the LiDAR's start]",
    ),
    "a replay without depth exits with 0": (
        "test_a_recording_gives_the_depth_that_it_allows[camera_info: all are missing but the topic]",
        "test_a_recording_gives_the_depth_that_it_allows[camera_info: without a size]",
        "test_a_recording_gives_the_depth_that_it_allows[lens: NaN]",
        "test_a_recording_gives_the_depth_that_it_allows[images: halved, camera_info is not]",
        "test_a_recording_gives_the_depth_that_it_allows[images: halved, camera_info is not, of a lens]",
        "test_a_recording_gives_the_depth_that_it_allows[images: binned, and camera_info counts the binning twice]",
        "test_an_encoding_that_says_too_little_is_refused_by_its_name[RGB8]",
        "test_an_encoding_that_says_too_little_is_refused_by_its_name[no name]",
        "test_an_encoding_that_says_too_little_is_refused_by_its_name[16UC1]",
    ),
    "D of other lengths and names is refused": (
        "test_a_recording_gives_the_depth_that_it_allows[lens: plumb_bob, 8 numbers, three of them zeros at the end]",
        "test_a_recording_gives_the_depth_that_it_allows[lens: rational_polynomial, 14 numbers]",
        "test_a_recording_gives_the_depth_that_it_allows[lens: rational_polynomial, 12 numbers]",
        "test_a_recording_gives_the_depth_that_it_allows[lens: equidistant, a fifth number]",
        "test_a_recording_gives_the_depth_that_it_allows[lens: inverse_brown_conrady]",
        "test_a_recording_gives_the_depth_that_it_allows[lens: no name, with distortion]",
    ),
    "mounts on /tf are not read by bags": (
        "test_what_can_be_scored_is_scored_and_the_rest_is_told[mounts are on /tf]",
        "test_a_recording_gives_the_depth_that_it_allows[frames: mounts are on /tf]",
    ),
    "a place that is not known ends the command": (
        "test_what_can_be_scored_is_scored_and_the_rest_is_told[odometry's base is not placed]",
        "test_a_recording_gives_the_depth_that_it_allows[frames: nothing is placed]",
        "test_a_recording_gives_the_depth_that_it_allows[frames: odometry's base is not placed]",
    ),
    "an image of an unusual name is not found": (
        "test_a_recording_gives_the_depth_that_it_allows[topics: the infrared camera's image_rect_raw]",
    ),
    "encodings that are not read, or not as they were meant": (
        "test_an_image_is_read_in_the_encoding_of_its_driver[rgb16]",
        "test_an_image_is_read_in_the_encoding_of_its_driver[mono16 with 10 bits]",
        "test_an_image_is_read_in_the_encoding_of_its_driver[mono16 with 12 bits]",
        "test_an_image_is_read_in_the_encoding_of_its_driver[mono16 with 14 bits]",
        "test_an_image_is_read_in_the_encoding_of_its_driver[bayer_rggb16]",
        "test_an_image_is_read_in_the_encoding_of_its_driver[nv12]",
        "test_an_image_is_read_in_the_encoding_of_its_driver[png of a Bayer mosaic]",
        "test_an_image_is_read_in_the_encoding_of_its_driver[jpeg of a Bayer mosaic]",
    ),
    "evaluate ends at the first message that it cannot use": (
        "test_what_can_be_scored_is_scored_and_the_rest_is_told[the first camera_info are missing]",
        "test_what_can_be_scored_is_scored_and_the_rest_is_told[an image is truncated]",
        "test_what_can_be_scored_is_scored_and_the_rest_is_told[a cloud is truncated]",
        "test_a_recording_without_an_image_that_can_be_read_is_an_error_with_its_topic",
    ),
    "a scan after the image does not count offline": (
        "test_what_can_be_scored_is_scored_and_the_rest_is_told[every scan is 9 ms after an image]",
        "test_what_can_be_scored_is_scored_and_the_rest_is_told[every scan is 9 ms after an image, no odometry]",
    ),
    "channels of other encodings end the command, or are not told": (
        "test_channels_that_are_not_of_ros_2_are_left_out_and_told[json]",
        "test_channels_that_are_not_of_ros_2_are_left_out_and_told[json without a schema]",
        "test_channels_that_are_not_of_ros_2_are_left_out_and_told[protobuf]",
    ),
    "hints of broken bags are wrong": (
        "test_a_folder_without_metadata_is_to_be_indexed_again",
        "test_a_recording_without_its_end_names_the_tool_that_saves_the_rest",
        "test_a_missing_part_of_a_split_recording_is_named",
        "test_a_recording_of_ros_1_is_to_be_converted",
    ),
    "files that stand in place of others are not recognised": (
        "test_what_is_no_checkpoint_is_refused_in_a_sentence[a pointer of Git LFS]",
        "test_what_is_no_checkpoint_is_refused_in_a_sentence[a web page]",
        "test_what_is_no_checkpoint_is_refused_in_a_sentence[nothing]",
        "test_a_file_that_is_no_network_for_us_is_refused_in_a_sentence[weights in a second file]",
        "test_a_file_that_is_no_network_for_us_is_refused_in_a_sentence[a pointer of Git LFS]",
        "test_a_file_that_is_no_network_for_us_is_refused_in_a_sentence[a web page]",
        "test_a_file_that_is_no_network_for_us_is_refused_in_a_sentence[an empty file]",
    ),
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is known to fail."""
    reasons = {name: reason for reason, names in OPEN.items() for name in names}
    for item in items:
        if Path(__file__).parent in item.path.parents and item.name in reasons:
            item.add_marker(pytest.mark.xfail(strict=True, reason=reasons[item.name]))


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """A street, recorded without a fault."""
    return record(tmp_path_factory.mktemp("recording"))


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed is not broken into short lines, so that words can be looked for."""
    monkeypatch.setenv("COLUMNS", "1000")
