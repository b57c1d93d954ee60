# SPDX-License-Identifier: Apache-2.0
"""Bags of a synthetic drive: their topics agree with the truth, and failures do what they say."""

from dataclasses import replace

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability

from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
from mono_depth_ros.datasets.bags.simulation_bag import (
    ODOMETRY_TOPIC,
    POINTS_TOPIC,
    START_NS,
    STATIC_TOPIC,
    TRUTH_ODOMETRY_TOPIC,
    image_topic,
    info_topic,
    write_simulation,
)
from mono_depth_ros.datasets.rendered.simulation import SimulationPlan, rendered_frames
from mono_depth_ros.errors import ConfigError
from mono_depth_ros.evaluation.truth_check import photometric_agreement, points_agreement
from mono_depth_ros.messages.camera_info import camera_from_info
from mono_depth_ros.messages.images import decode_compressed_image, decode_depth_image, decode_image
from mono_depth_ros.messages.odometry import decode_odometry
from mono_depth_ros.messages.point_clouds import decode_timed_points, decode_xyz
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.synthetic.failures import (
    CalibrationBump,
    ClockJump,
    Delay,
    Duplicate,
    FailurePlan,
    Freeze,
    LowRate,
    NanPoints,
    Outage,
    Outliers,
    PacketLoss,
    SectorLoss,
)

PLAN = SimulationPlan(seed=7, seconds=0.8, width_px=96, height_px=64, samples=2)
PERIOD_NS = 100_000_000
STAMPS = [START_NS + number * PERIOD_NS for number in range(PLAN.frames)]
IMAGE_TOPIC, COMPRESSED_TOPIC = image_topic("camera"), image_topic("camera", compressed=True)
INFO_TOPIC, TRUTH_DEPTH_TOPIC, LABELS_TOPIC = info_topic("camera"), "/truth/depth", "/truth/labels"
TRUTH = (TRUTH_DEPTH_TOPIC, LABELS_TOPIC, TRUTH_ODOMETRY_TOPIC)


@pytest.fixture(scope="module")
def frames():
    return list(rendered_frames(PLAN, workers=1))


@pytest.fixture
def write(tmp_path, frames):
    """Writes the drive with failures."""

    def write_bag(*, name="bag", compressed=False, **failures):
        write_simulation(PLAN, FailurePlan(**failures), frames, tmp_path / name, compressed)
        return tmp_path / name

    return write_bag


def read(path):
    """topic -> (log stamp, message), by the definitions stored in the bag, as viewers read it."""
    found = {}
    with AnyReader([path]) as reader:
        for connection, log_stamp_ns, raw in reader.messages():
            found.setdefault(connection.topic, []).append((log_stamp_ns, reader.deserialize(raw, connection.msgtype)))
    return found


def stamps(found, topic):
    return [stamp_ns_of(message.header.stamp) for _, message in found.get(topic, [])]


def raw_messages(path):
    with Rosbag2Reader(path) as bag:
        return [(m.topic, m.log_stamp_ns, m.raw) for m in bag.messages(sorted(bag.types), reorder_s=0.0)]


def test_every_sensor_and_the_truth_have_the_stamps_of_the_drive(write):
    found = read(write())
    for topic in (IMAGE_TOPIC, INFO_TOPIC, POINTS_TOPIC, ODOMETRY_TOPIC, *TRUTH):
        assert stamps(found, topic) == STAMPS, topic
        # A revolution is complete half of it after the sensor has faced forward.
        complete_ns = PERIOD_NS // 2 if topic == POINTS_TOPIC else 0
        assert [log - complete_ns for log, _ in found[topic]] == STAMPS, topic
    frame_ids = {topic: found[topic][0][1].header.frame_id for topic in found if topic != STATIC_TOPIC}
    assert frame_ids == {
        IMAGE_TOPIC: "camera",
        INFO_TOPIC: "camera",
        POINTS_TOPIC: "lidar",
        ODOMETRY_TOPIC: "odom",
        TRUTH_DEPTH_TOPIC: "camera",
        LABELS_TOPIC: "camera",
        TRUTH_ODOMETRY_TOPIC: "world",
    }


def test_the_messages_hold_what_the_robot_sensed(write, frames):
    found = read(write())
    drive = PLAN.drive()
    for number, frame in enumerate(frames):
        message = {topic: found[topic][number][1] for topic in found if topic != STATIC_TOPIC}
        (view,) = frame.views
        np.testing.assert_array_equal(decode_image(message[IMAGE_TOPIC]), view.image_rgb)
        np.testing.assert_array_equal(decode_depth_image(message[TRUTH_DEPTH_TOPIC]), view.truth_depth_m)
        np.testing.assert_array_equal(decode_image(message[LABELS_TOPIC])[..., 0], view.truth_labels)
        assert message[LABELS_TOPIC].encoding == "mono8"
        assert camera_from_info(message[INFO_TOPIC], rectified=False) == view.camera
        timed = decode_timed_points(message[POINTS_TOPIC], STAMPS[number])
        np.testing.assert_array_equal(timed.points_m, frame.lidar.points_lidar)
        np.testing.assert_allclose(timed.offsets_s, frame.lidar.time_s, atol=1e-6)
        assert [field.name for field in message[POINTS_TOPIC].fields] == ["x", "y", "z", "intensity", "ring", "time"]
        odometry, truth = (decode_odometry(message[topic]) for topic in (ODOMETRY_TOPIC, TRUTH_ODOMETRY_TOPIC))
        np.testing.assert_allclose(odometry.T_odom_base, frame.T_odom_base, atol=1e-9)
        np.testing.assert_allclose(truth.T_odom_base, drive.course.T_world_base(number / 10.0), atol=1e-9)
        assert odometry.speed_mps == pytest.approx(frame.speed_mps)
        assert truth.speed_mps == pytest.approx(frame.speed_mps, rel=0.05)


def test_static_transforms_are_latched_and_connect_the_frames(write, frames):
    path = write()
    with Rosbag2Reader(path) as bag:
        transforms = bag.static_transforms()
        (profile,) = bag.quality_of_service(STATIC_TOPIC)
    assert profile.durability == QosDurability.TRANSIENT_LOCAL
    np.testing.assert_allclose(transforms.lookup("base_link", "camera"), frames[0].views[0].T_base_camera, atol=1e-9)
    np.testing.assert_allclose(transforms.lookup("base_link", "lidar"), frames[0].lidar.T_base_lidar, atol=1e-9)


def test_compressed_images_hold_the_same_pixels(write, frames):
    path = write(compressed=True)
    found = read(path)
    assert IMAGE_TOPIC not in found and stamps(found, COMPRESSED_TOPIC) == STAMPS
    for (_, message), frame in zip(found[COMPRESSED_TOPIC], frames, strict=True):
        np.testing.assert_array_equal(decode_compressed_image(message), frame.views[0].image_rgb)
    with Rosbag2Reader(path) as bag:
        assert photometric_agreement(bag).pairs == PLAN.frames - 1


def test_lidar_points_land_on_the_true_depth(write):
    with Rosbag2Reader(write()) as bag:
        lidar = points_agreement(bag)
    # The first revolution begins before the truth does.
    assert lidar.scans == PLAN.frames - 1 and lidar.points > 200 * lidar.scans
    assert lidar.median_rel_error < 0.01
    assert lidar.share_beyond_10_percent < 0.2


def test_images_agree_after_warping_by_true_depth_and_motion(tmp_path):
    plan = replace(PLAN, seconds=2.0, rate_hz=2.0, width_px=160, sensors=("odom",))
    write_simulation(plan, FailurePlan(), rendered_frames(plan, workers=1), tmp_path / "bag")
    with Rosbag2Reader(tmp_path / "bag") as bag:
        photometric = photometric_agreement(bag)
    assert photometric.pairs == plan.frames - 1
    assert photometric.residual < 0.5 * photometric.unwarped


def test_the_same_drive_gives_the_same_messages(write):
    failing = {"sector_losses": (SectorLoss(0.3),), "delays": (Delay("lidar", 0.1, 0.3),), "outliers": (Outliers(0.1),)}
    first, second = (raw_messages(write(name=name, **failing)) for name in "ab")
    assert first == second and len(first) > 7 * PLAN.frames


def test_an_outage_silences_its_sensor_and_nothing_else(write):
    found = read(write(outages=(Outage("camera", 0.2, 0.5),)))
    assert stamps(found, IMAGE_TOPIC) == stamps(found, INFO_TOPIC) == [*STAMPS[:2], *STAMPS[5:]]
    for topic in (POINTS_TOPIC, ODOMETRY_TOPIC, *TRUTH):
        assert stamps(found, topic) == STAMPS


def test_lost_messages_are_missing(write):
    found = read(write(losses=(PacketLoss("odom", 0.5),), seed=3))
    assert 0 < len(found[ODOMETRY_TOPIC]) < PLAN.frames
    assert ODOMETRY_TOPIC not in read(write(name="all", losses=(PacketLoss("odom", 1.0),)))


def test_lost_sectors_leave_the_rest_of_the_scan_as_it_was(write, frames):
    found = read(write(sector_losses=(SectorLoss(0.4),)))
    for (_, message), frame in zip(found[POINTS_TOPIC], frames, strict=True):
        whole = frame.lidar.points_lidar
        left, all_points = ({tuple(p) for p in points.tolist()} for points in (decode_xyz(message), whole))
        assert left < all_points and 0.3 < len(left) / len(all_points) < 0.9


def test_a_low_rate_keeps_every_second_scan(write):
    found = read(write(low_rates=(LowRate("lidar", 2),)))
    assert stamps(found, POINTS_TOPIC) == STAMPS[::2]


def test_late_scans_lie_where_they_arrived_under_their_own_stamps(write):
    found = read(write(delays=(Delay("lidar", 0.1, jitter_s=0.4),)))
    late_s = [(log - stamp_ns_of(message.header.stamp)) / 1e9 for log, message in found[POINTS_TOPIC]]
    assert min(late_s) >= 0.15 and max(late_s) <= 0.55
    arrived = stamps(found, POINTS_TOPIC)
    assert sorted(arrived) == STAMPS and arrived != STAMPS
    assert stamps(found, IMAGE_TOPIC) == STAMPS


def test_a_frozen_camera_repeats_itself_under_new_stamps(write, frames):
    found = read(write(freezes=(Freeze("camera", 0.3, 0.6),)))
    assert stamps(found, IMAGE_TOPIC) == STAMPS
    for number, (_, message) in enumerate(found[IMAGE_TOPIC]):
        source = 2 if 3 <= number < 6 else number
        np.testing.assert_array_equal(decode_image(message), frames[source].views[0].image_rgb)
    truth = [decode_depth_image(message) for _, message in found[TRUTH_DEPTH_TOPIC]]
    np.testing.assert_array_equal(truth[4], frames[4].views[0].truth_depth_m)


def test_a_frozen_lidar_repeats_a_damaged_scan_as_it_was(write):
    found = read(write(freezes=(Freeze("lidar", 0.3, 0.6),), sector_losses=(SectorLoss(0.4),)))
    scans = [message.data.tobytes() for _, message in found[POINTS_TOPIC]]
    assert scans[2] == scans[3] == scans[4] == scans[5] and len(set(scans)) == PLAN.frames - 3


def test_a_bump_moves_the_scans_off_the_true_depth(tmp_path, write):
    # Pitched down by 2 degrees in the calibration's eyes: points on the road seem to lie much farther or nearer.
    bumps = (CalibrationBump(0.0, rotation_deg=(0.0, 2.0, 0.0)),)
    plan = replace(PLAN, seconds=0.3, bumps=bumps)
    write_simulation(plan, FailurePlan(bumps=bumps), rendered_frames(plan, workers=1), tmp_path / "bumped")
    errors = []
    for path in (write(), tmp_path / "bumped"):
        with Rosbag2Reader(path) as bag:
            errors.append(points_agreement(bag).median_rel_error)
    assert errors[1] > 10 * errors[0]


def test_bumps_that_the_renderer_did_not_know_are_refused(write):
    with pytest.raises(ConfigError, match="bumps: expected those of the failures in the plan as well"):
        write(bumps=(CalibrationBump(0.0),))


def test_nan_points_duplicates_and_clock_jumps_are_in_the_messages(write, frames):
    found = read(
        write(
            nan_points=(NanPoints(0.2),),
            duplicates=(Duplicate("odom", 1.0, later_s=0.05),),
            clock_jumps=(ClockJump("camera", -0.25, from_s=0.4),),
        )
    )
    for (_, message), frame in zip(found[POINTS_TOPIC], frames, strict=True):
        assert not message.is_dense and message.width == len(frame.lidar.points_lidar)
        assert len(decode_xyz(message)) / message.width == pytest.approx(0.8, abs=0.1)
    assert sorted(stamps(found, ODOMETRY_TOPIC)) == sorted([*STAMPS, *STAMPS])
    assert [log - stamp for (log, _), stamp in zip(found[ODOMETRY_TOPIC], stamps(found, ODOMETRY_TOPIC), strict=True)][
        :3
    ] == [0, 50_000_000, 0]
    jumped = [stamp - (250_000_000 if number >= 4 else 0) for number, stamp in enumerate(STAMPS)]
    assert stamps(found, IMAGE_TOPIC) == stamps(found, INFO_TOPIC) == jumped
    assert [log for log, _ in found[IMAGE_TOPIC]] == STAMPS


def test_outliers_put_points_off_the_true_depth(write):
    def share(**failures):
        with Rosbag2Reader(write(name=f"bag{len(failures)}", **failures)) as bag:
            return points_agreement(bag).share_beyond_10_percent

    assert share(outliers=(Outliers(0.3),)) - share() == pytest.approx(0.26, abs=0.05)


def test_a_drive_that_ends_in_an_error_leaves_no_bag(tmp_path, frames):
    def broken():
        yield from frames[:3]
        raise RuntimeError("the renderer died")

    with pytest.raises(RuntimeError, match="the renderer died"):
        write_simulation(PLAN, FailurePlan(), broken(), tmp_path / "bag")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_bag_is_not_overwritten(tmp_path, frames):
    (tmp_path / "bag").mkdir()
    with pytest.raises(ConfigError, match="expected a new path"):
        write_simulation(PLAN, FailurePlan(), frames, tmp_path / "bag")


def test_a_plan_that_cannot_be_tells_all_that_is_wrong():
    with pytest.raises(ConfigError, match=r"seed.*seconds.*rate_hz.*size.*samples"):
        SimulationPlan(seed=-1, seconds=0.0, rate_hz=1e6, width_px=8, samples=0)
    with pytest.raises(ConfigError, match="workers: expected at least 1"):
        next(rendered_frames(PLAN, workers=0))
