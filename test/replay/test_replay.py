# SPDX-License-Identifier: Apache-2.0
"""`mono-depth replay` on tiny bags: what comes out, and what happens when sensors go away."""

import argparse

import numpy as np
import pytest
from bag_maker import (
    CAMERA_FRAME,
    HEIGHT_PX,
    IMAGE_TOPIC,
    INFO_TOPIC,
    ODOMETRY_TOPIC,
    PERIOD_NS,
    POINTS_TOPIC,
    START_NS,
    TRUTH_TOPIC,
    WIDTH_PX,
    drive_messages,
    image_message,
    info_message,
    scan_message,
    static_message,
    write_bag,
)
from dial_model import write_model
from rosbags.highlevel import AnyReader

from mono_depth_ros.cli import replay
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.messages.camera_info import camera_from_info
from mono_depth_ros.messages.images import decode_depth_image
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.replay.replay import Drop, parse_drop
from mono_depth_ros.replay.result_bag import OutputTopics

DEPTH, INFO, CLOUD, STATUS = "/depth/image_rect", "/depth/camera_info", "/points_dense", "/depth_node/status"
PREDICTION, COMPLETION = 1, 2


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """depth_m = 2 + red / 255, plus the mean depth of the points."""
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def run(tmp_path, model):
    """Writes the messages as a bag, replays it, and gives topic -> messages of the result."""

    def replay_messages(messages, *options, out="out"):
        bag = tmp_path / "bag"
        if not bag.exists():
            write_bag(bag, messages)
        parser = argparse.ArgumentParser()
        replay.add_parser(parser.add_subparsers())
        command = ["replay", str(bag), "--out", str(tmp_path / out), "--model", str(model), *options]
        args = parser.parse_args(command if "--points" in options else [*command, "--points", POINTS_TOPIC])
        found_depth = args.run(args) == 0
        found = read_bag(tmp_path / out)
        assert found_depth == any(topic.endswith(DEPTH) for topic in found)
        return found

    return replay_messages


def read_bag(path):
    """Reads with the definitions that are stored in the bag, as viewers do."""
    found = {}
    with AnyReader([path]) as reader:
        for connection, log_stamp_ns, raw in reader.messages():
            found.setdefault(connection.topic, []).append((log_stamp_ns, reader.deserialize(raw, connection.msgtype)))
    return found


def messages_of(found, topic):
    return [message for _, message in found.get(topic, [])]


def test_every_image_gives_depth_info_cloud_and_status_with_its_own_header(run):
    found = run(drive_messages(images=5))
    for topic in (DEPTH, INFO, CLOUD, STATUS):
        headers = [(stamp_ns_of(m.header.stamp), m.header.frame_id) for m in messages_of(found, topic)]
        assert headers == [(START_NS + number * PERIOD_NS, CAMERA_FRAME) for number in range(5)], topic


def test_depth_is_what_the_model_says_of_image_and_points(run):
    found = run(drive_messages(images=3), "--param", "completion.fill:=false", "--param", "completion.anchor:=false")
    depths = [decode_depth_image(message) for message in messages_of(found, DEPTH)]
    for number, depth_m in enumerate(depths):
        np.testing.assert_allclose(depth_m, 2.0 + 5 * number / 255 + 10.0, rtol=1e-5)


def test_completed_depth_goes_through_its_points(run):
    depths = [decode_depth_image(message) for message in messages_of(run(drive_messages(images=2)), DEPTH)]
    np.testing.assert_allclose(np.array(depths), 10.0, rtol=1e-3)


def test_the_cloud_is_the_depth_image_unprojected_by_its_camera_info(run):
    found = run(drive_messages(images=1))
    depth_m = decode_depth_image(messages_of(found, DEPTH)[0])
    camera = camera_from_info(messages_of(found, INFO)[0])
    (cloud,) = messages_of(found, CLOUD)
    points_m = cloud.data.view("<f4").reshape(cloud.height, cloud.width, 4)[:, :, :3]
    np.testing.assert_allclose(points_m, camera.unproject(depth_m), atol=1e-4)


def test_withheld_predictions_leave_a_status_and_marked_ones_say_so_in_every_point(run):
    drop = ("--drop", f"{POINTS_TOPIC}:0.3-9", "--param", "lidar.memory_s:=0.0")
    messages = drive_messages(images=12)
    found = run(messages, *drop, "--param", "output.in_prediction:=withhold")
    modes = [status.mode for status in messages_of(found, STATUS)]
    assert len(modes) == 12 and PREDICTION in modes and COMPLETION in modes
    completed = [status.header.stamp for status in messages_of(found, STATUS) if status.mode == COMPLETION]
    for topic in (DEPTH, INFO, CLOUD):
        assert [message.header.stamp for message in messages_of(found, topic)] == completed
    marked = run(messages, *drop, "--param", "output.in_prediction:=mark", out="marked")
    clouds = messages_of(marked, CLOUD)
    assert [set(cloud.data[20 :: cloud.point_step]) for cloud in clouds] == [{mode} for mode in modes]


def test_the_cloud_can_be_thinned_out(run):
    (cloud,) = messages_of(run(drive_messages(images=1), "--stride", "4"), CLOUD)
    assert (cloud.height, cloud.width) == (HEIGHT_PX // 4, WIDTH_PX // 4)


def test_the_status_tells_mode_reason_points_and_sensors(run):
    status = messages_of(run(drive_messages(images=2)), STATUS)[1]
    assert (status.mode, status.reason, status.points_used) == (COMPLETION, "points_used", 8 * 16)
    assert [sensor.name for sensor in status.sensors] == ["image", "camera_info", "points", "odometry"]
    assert all(sensor.state == sensor.OK for sensor in status.sensors)
    assert (status.images_received, status.images_processed, status.images_rejected) == (2, 2, 0)
    assert (status.model_name, status.provider) == ("closed_form", "CPUExecutionProvider")
    assert status.stage_names == [*("hold", "decode"), *("resize", "project", "network", "scale", "points"), "publish"]
    assert 0 < sum(status.stage_times_s) <= 1.001 * status.latency_s


def test_two_replays_give_the_same_depth_byte_by_byte(run):
    first = run(drive_messages(images=5), out="first")
    second = run(drive_messages(images=5), out="second")
    for topic in (DEPTH, CLOUD):
        contents = [[message.data.tobytes() for message in messages_of(found, topic)] for found in (first, second)]
        assert len(contents[0]) == 5 and contents[0] == contents[1]


def test_a_dropped_lidar_turns_the_dial_and_loses_no_image(run, capsys):
    found = run(drive_messages(images=30), "--drop", f"{POINTS_TOPIC}:1.0-2.0", "--memory-s", "0")
    modes = [status.mode for status in messages_of(found, STATUS)]
    # Without a memory the scan at 0.9 s serves until it is 0.25 s old; the scan at 2.0 s is used at once.
    assert modes == [COMPLETION] * 12 + [PREDICTION] * 8 + [COMPLETION] * 10
    assert messages_of(found, STATUS)[15].reason == "points_stale"
    assert len(messages_of(found, DEPTH)) == 30
    summary = capsys.readouterr().out
    assert "PREDICTION: points_stale" in summary and "from image 13 (stamp 1.200 s)" in summary


def with_scan(messages):
    stamps_ns = [stamp_ns for topic, stamp_ns, _ in messages if topic == IMAGE_TOPIC]
    return [*messages, *(("/scan", stamp_ns, scan_message(stamp_ns, [10.0] * 5)) for stamp_ns in stamps_ns)]


def test_several_sources_of_points_are_merged_as_in_the_node(run):
    options = ("--points", POINTS_TOPIC, "--points", "/scan", "--memory-s", "0")
    found = run(with_scan(drive_messages(images=30)), *options, "--drop", f"{POINTS_TOPIC}:1.0-2.0")
    statuses = messages_of(found, STATUS)
    # With the cloud gone the scanner's rays alone are too few; with it they are more than the cloud's points.
    assert statuses[5].mode == COMPLETION and statuses[5].points_used > 8 * 16
    assert (statuses[18].mode, statuses[18].points_used) == (PREDICTION, 0)
    assert statuses[18].reason == "too_few_points_in_view"
    used = {sensor.name: sensor.used for sensor in statuses[5].sensors}
    assert used["points"] and used["scan"]


def test_two_sources_of_one_type_are_refused(run):
    with pytest.raises(DataError, match="expected a type that no other points have"):
        run(drive_messages(images=2), "--points", POINTS_TOPIC, "--points", TRUTH_TOPIC)


def test_without_points_every_image_is_predicted(run):
    found = run(drive_messages(images=3), "--points", "none")
    assert {(status.mode, status.reason) for status in messages_of(found, STATUS)} == {(PREDICTION, "no_points")}


def test_images_before_the_first_camera_info_give_a_status_with_the_reason(run):
    found = run(drive_messages(images=4), "--drop", f"{INFO_TOPIC}:0-0.15")
    assert [status.reason for status in messages_of(found, STATUS)][:3] == ["no_camera_info"] * 2 + ["points_used"]
    assert len(messages_of(found, DEPTH)) == 2


def test_a_broken_image_is_counted_and_the_next_one_is_processed(run, capsys):
    messages = drive_messages(images=3)
    broken = image_message(START_NS + PERIOD_NS, np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8))
    broken.data = broken.data[:100]
    place = [entry[:2] for entry in messages].index((IMAGE_TOPIC, START_NS + PERIOD_NS))
    messages[place] = (*messages[place][:2], broken)
    found = run(messages)
    assert len(messages_of(found, DEPTH)) == 2
    last = messages_of(found, STATUS)[-1]
    assert (last.images_received, last.images_processed, last.images_rejected) == (3, 2, 1)
    assert "the message is truncated" in last.sensors[0].last_error
    assert "1 x image: image_unreadable" in capsys.readouterr().out


def test_a_broken_cloud_is_reported_in_the_status_and_costs_no_image(run):
    messages = drive_messages(images=2)
    for topic, _, message in messages:
        if topic == POINTS_TOPIC:
            message.fields[0].name = "intensity"
    found = run(messages)
    assert len(messages_of(found, DEPTH)) == 2
    points = messages_of(found, STATUS)[1].sensors[2]
    assert (points.name, points.rejected) == ("points", 2)
    assert "missing x" in points.last_error


def test_results_carry_the_fixed_transforms_and_the_inputs_only_on_request(run):
    assert set(run(drive_messages(images=1), out="plain")) == {DEPTH, INFO, CLOUD, STATUS, "/tf_static"}
    found = run(drive_messages(images=1), "--with-inputs", out="full")
    assert {IMAGE_TOPIC, INFO_TOPIC, POINTS_TOPIC, ODOMETRY_TOPIC} <= set(found)


def test_messages_left_out_are_not_among_the_copied_inputs(run):
    found = run(drive_messages(images=10), "--with-inputs", "--drop", f"{POINTS_TOPIC}:0.2-0.5")
    assert len(found[POINTS_TOPIC]) == 7 and len(found[IMAGE_TOPIC]) == 10


def test_results_can_go_under_a_namespace(run):
    assert "/front/depth/image_rect" in run(drive_messages(images=1), "--namespace", "front")
    assert OutputTopics.under("/a/b/").cloud == "/a/b/points_dense"


def test_the_number_of_images_can_be_limited(run):
    assert len(run(drive_messages(images=5), "--limit", "2")[DEPTH]) == 2


def test_with_a_memory_a_lost_lidar_serves_for_as_long_as_that_reaches(run):
    found = run(drive_messages(images=30), "--drop", f"{POINTS_TOPIC}:1.0-2.0", "--memory-s", "0.55")
    modes = [status.mode for status in messages_of(found, STATUS)]
    assert modes == [COMPLETION] * 15 + [PREDICTION] * 5 + [COMPLETION] * 10


def test_a_forced_mode_predicts_in_spite_of_points_or_gives_nothing_without(run):
    drop = ("--drop", f"{POINTS_TOPIC}:1.0-1.5", "--memory-s", "0")
    statuses = messages_of(run(drive_messages(images=20), *drop, "--mode", "prediction", out="predicted"), STATUS)
    assert {(status.mode, status.reason) for status in statuses} == {(PREDICTION, "prediction_forced")}
    points = [sensor for status in statuses for sensor in status.sensors if sensor.name == "points"]
    assert not any(sensor.used for sensor in points) and points[-1].used_share == 0.0
    # Every image has a scan within the two seconds that the buffer reaches, so that forcing overrules the age.
    statuses = messages_of(run([], *drop, "--mode", "completion", out="completed"), STATUS)
    assert {(status.mode, status.reason) for status in statuses} == {(COMPLETION, "points_used")}
    statuses = messages_of(run([], "--points", "none", "--mode", "completion", out="nothing"), STATUS)
    assert {(status.mode, status.reason) for status in statuses} == {(0, "completion_forced_without_points")}


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--memory-s", "9", "lidar.memory_s: expected 0 to 5"),
        ("--param", "scale.order:=[points, points]", "each at most once"),
        ("--param", "scale.order:=[stars]", "some of model, points, odometry, camera_height"),
        ("--param", "lidar.memory:=1.0", "lidar.memory: no such parameter; did you mean lidar.memory_s"),
        ("--param", "mode", "expected NAME:=VALUE"),
        ("--remap", "/front/image", "expected NAME:=TOPIC"),
        ("--remap", "lidar:=/points", "one of image, camera_info, points"),
    ],
)
def test_options_that_the_node_would_refuse_are_refused_with_what_is_possible(run, option, value, words):
    with pytest.raises(ConfigError, match=words):
        run(drive_messages(images=1), option, value)


def test_raw_images_with_distortion_are_rectified_and_that_is_told(run, capsys):
    messages = [entry for entry in drive_messages(images=1) if entry[0] != INFO_TOPIC]
    messages.insert(1, (INFO_TOPIC, START_NS, info_message(START_NS, distortion=0.1)))
    run(messages)
    assert "lens distortion" in capsys.readouterr().out


def test_an_existing_result_is_not_overwritten(run, tmp_path):
    run(drive_messages(images=1))
    before = sorted(path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir())
    with pytest.raises(ConfigError, match="got an existing one"):
        run(drive_messages(images=1))
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()) == before


def test_a_lidar_that_nobody_places_costs_the_points_and_not_the_depth(run, capsys):
    messages = [entry for entry in drive_messages(images=3) if entry[0] != "/tf_static"]
    messages.append(("/tf_static", START_NS, static_message(with_lidar=False)))
    found = run(messages)
    assert {(status.mode, status.reason) for status in messages_of(found, STATUS)} == {(PREDICTION, "no_points")}
    assert "record /tf_static" in " ".join(capsys.readouterr().out.split())


def test_a_replay_that_fails_leaves_nothing_behind(run, tmp_path):
    with pytest.raises(ConfigError, match=r"expected one of .*, got another topic"):
        run(drive_messages(images=3), "--drop", "/nothing:0-1")
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]


def test_parameters_come_from_the_file_of_the_node_and_the_command_line_goes_before_it(run, tmp_path):
    (tmp_path / "node.yaml").write_text(
        "/**:\n  ros__parameters:\n    output:\n      encoding: 16UC1\n    cloud.stride: 8\n"
        "other_node:\n  ros__parameters:\n    mode: completion\n"
        "depth_node:\n  ros__parameters:\n    mode: prediction\n    use_sim_time: true\n"
    )
    found = run(drive_messages(images=2), "--params", str(tmp_path / "node.yaml"), "--stride", "4")
    assert {status.reason for status in messages_of(found, STATUS)} == {"prediction_forced"}
    assert messages_of(found, DEPTH)[0].encoding == "16UC1"
    assert messages_of(found, CLOUD)[0].height == HEIGHT_PX // 4


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "- 1",
        "depth_node: {mode: auto}",
        "/**:\n  ros__parameters:\n    node: 1\n",
        "dept_node:\n  ros__parameters:\n    mode: prediction\n",
        "",
    ],
)
def test_a_file_that_has_no_parameters_of_the_node_is_refused_by_name(run, tmp_path, text):
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"wrong\.yaml|no such parameter"):
        run(drive_messages(images=1), "--params", str(tmp_path / "wrong.yaml"))


def test_topics_are_found_by_the_remappings_of_the_node(run):
    renamed = {IMAGE_TOPIC: "/front/eye", INFO_TOPIC: "/front/camera_info", POINTS_TOPIC: "/top/cloud"}
    messages = [(renamed.get(topic, topic), stamp_ns, m) for topic, stamp_ns, m in drive_messages(images=2)]
    found = run(messages, "--remap", "image:=/front/eye", "-r", "points:=/top/cloud", "--points", "/top/cloud")
    assert {status.mode for status in messages_of(found, STATUS)} == {COMPLETION}


def test_an_image_waits_for_points_that_were_recorded_after_it_as_long_as_the_node_would(run):
    late_ns = 40_000_000
    messages = [
        (topic, stamp_ns + (late_ns if topic == POINTS_TOPIC else 0), m)
        for topic, stamp_ns, m in drive_messages(images=3)
    ]
    messages.sort(key=lambda entry: entry[1])
    alone = ("--memory-s", "0", "--param", "dial.max_points_age_s:=0.03", "--param", "dial.resume_points_age_s:=0.02")
    waited = messages_of(run(messages, *alone, out="waited"), STATUS)
    assert [status.mode for status in waited] == [COMPLETION] * 3
    at_once = messages_of(run([], *alone, "--param", "sync.max_wait_s:=0.01", out="at_once"), STATUS)
    assert [status.mode for status in at_once] == [PREDICTION] * 3


def test_a_result_that_cannot_be_written_is_an_error(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="expected a place to write to"):
        run(drive_messages(images=1), out="file/out")


@pytest.mark.parametrize("text", ["/p", "/p:1", "/p:2-1", "/p:-1-2", ":1-2", "/p:a-b", "/p:1-nan"])
def test_a_drop_that_cannot_be_understood_is_refused(text):
    with pytest.raises(ConfigError, match=r"expected TOPIC:T0-T1 .* got"):
        parse_drop(text)


def test_a_drop_names_its_topic_and_seconds():
    assert parse_drop("/ns:odd/points:0-1.5") == Drop("/ns:odd/points", 0.0, 1.5)


def test_a_drop_of_a_topic_that_is_not_used_lists_those_that_are(run):
    with pytest.raises(ConfigError, match=rf"expected one of .*{POINTS_TOPIC}"):
        run(drive_messages(images=1), "--drop", "/gps:0-1")


def test_an_input_with_the_name_of_an_output_is_refused(run):
    renamed = {IMAGE_TOPIC: "/depth/image_raw", INFO_TOPIC: "/depth/camera_info"}
    messages = [(renamed.get(topic, topic), stamp_ns, m) for topic, stamp_ns, m in drive_messages(images=1)]
    with pytest.raises(DataError, match="choose another namespace"):
        run(messages, "--with-inputs")
