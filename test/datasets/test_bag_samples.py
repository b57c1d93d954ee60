# SPDX-License-Identifier: Apache-2.0
"""Samples with truth, made from a bag."""

import dataclasses

import numpy as np
import pytest
from bag_maker import (
    CAMERA_FRAME,
    HEIGHT_PX,
    IMAGE_TOPIC,
    INFO_TOPIC,
    LIDAR_FRAME,
    PERIOD_NS,
    POINTS_TOPIC,
    START_NS,
    TRUTH_TOPIC,
    WIDTH_PX,
    compressed_message,
    drive_messages,
    image_message,
    info_message,
    points_message,
    static_message,
    wall_points,
    write_bag,
)

from mono_depth_ros.datasets.bags.bag_samples import BagQuery, BagSamples, read_bag
from mono_depth_ros.datasets.bags.topics import TopicNames
from mono_depth_ros.datasets.bags.truth import TruthChoice, scaled_camera
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.sparse_depth import project_points, sparse_to_dense


def samples_of(path, points=POINTS_TOPIC, truth=TRUTH_TOPIC, truth_scale=1.0, **query):
    return list(BagSamples(path, BagQuery(TopicNames(points=points), TruthChoice(truth, scale=truth_scale), **query)))


def test_truth_is_the_dense_wall_and_points_are_the_sparse_one(tmp_path):
    samples = samples_of(write_bag(tmp_path / "bag", drive_messages(images=3, depth_m=10.0)))
    assert len(samples) == 3
    sample = samples[0]
    np.testing.assert_allclose(sample.truth_depth_m, 10.0, rtol=1e-5)
    assert len(project_points(sample.points_camera_m, sample.camera)) == (HEIGHT_PX // 4) * (WIDTH_PX // 4)
    assert sample.name == f"camera_{START_NS}"


def test_truth_at_half_size_keeps_the_borders(tmp_path):
    sample = samples_of(write_bag(tmp_path / "bag", drive_messages(images=1)), truth_scale=0.5)[0]
    assert sample.truth_depth_m.shape == (HEIGHT_PX // 2, WIDTH_PX // 2)
    assert sample.truth_camera == sample.camera.resized(WIDTH_PX // 2, HEIGHT_PX // 2)


def test_a_partial_row_of_the_scaled_grid_is_cut_off():
    camera = scaled_camera(PinholeCamera(1242, 375, 721.5377, 721.5377, 609.5593, 172.854), 0.5)
    assert (camera.width_px, camera.height_px) == (621, 187)
    assert camera.cx_px == pytest.approx(304.52965) and camera.cy_px == pytest.approx(86.177)


def test_scans_are_carried_to_the_image_by_odometry(tmp_path):
    messages = [entry for entry in drive_messages(images=6, depth_m=10.0, speed_mps=10.0) if entry[0] != TRUTH_TOPIC]
    # The truth was measured 40 ms before the third image, when the wall was 0.4 m farther away.
    stamp_ns = START_NS + 160_000_000
    messages.append((TRUTH_TOPIC, stamp_ns, points_message(stamp_ns, wall_points(10.0 - 1.6, 1))))
    messages.sort(key=lambda entry: entry[1])
    samples = samples_of(write_bag(tmp_path / "bag", messages))
    assert [sample.stamp_ns for sample in samples] == [START_NS + 200_000_000]
    np.testing.assert_allclose(np.nanmedian(samples[0].truth_depth_m), 8.0, rtol=1e-5)


def test_images_without_a_near_scan_are_left_out(tmp_path):
    messages = [
        entry for entry in drive_messages(images=5) if entry[0] != POINTS_TOPIC or entry[1] < START_NS + 200_000_000
    ]
    assert len(samples_of(write_bag(tmp_path / "bag", messages))) == 2


def test_compressed_images_are_read(tmp_path):
    image_rgb = np.random.default_rng(2).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    messages = [entry for entry in drive_messages(images=1) if entry[0] != IMAGE_TOPIC]
    messages.append((IMAGE_TOPIC + "/compressed", START_NS, compressed_message(START_NS, image_rgb)))
    sample = samples_of(write_bag(tmp_path / "bag", messages))[0]
    assert np.array_equal(sample.image_rgb, image_rgb)


def test_a_lidar_without_a_place_is_an_error_that_says_what_to_record(tmp_path):
    messages = [entry for entry in drive_messages(images=1) if entry[0] != "/tf_static"]
    messages.insert(0, ("/tf_static", START_NS, static_message(with_lidar=False)))
    with pytest.raises(
        DataError, match=f"{POINTS_TOPIC}: .*from '{LIDAR_FRAME}' to '{CAMERA_FRAME}'.*record /tf_static"
    ):
        samples_of(write_bag(tmp_path / "bag", messages))


def test_an_uncalibrated_camera_is_an_error(tmp_path):
    messages = [entry for entry in drive_messages(images=1) if entry[0] != INFO_TOPIC]
    messages.insert(1, (INFO_TOPIC, START_NS, info_message(START_NS, focal_px=0.0)))
    with pytest.raises(DataError, match="uncalibrated camera"):
        samples_of(write_bag(tmp_path / "bag", messages))


@pytest.mark.parametrize("scale", [0.0, 1.5, float("nan")])
def test_an_impossible_scale_is_refused(tmp_path, scale):
    with pytest.raises(ConfigError, match="truth_scale"):
        samples_of(write_bag(tmp_path / "bag", drive_messages(images=1)), truth_scale=scale)


def test_truth_of_a_recorded_drive_equals_that_of_another_program(shared_data):
    """Half resolution, centimetres; in the cut-off last row the other program kept a few more points."""
    bag, reference = shared_data / "data" / "kitti_drive", shared_data / "data" / "gt" / "kitti_drive"
    if not bag.is_dir() or not reference.is_dir():
        pytest.skip(f"recorded drive: no bag {bag} with truth in {reference}")
    samples = samples_of(bag, "/lidar/points_4beam", "/lidar/points", truth_scale=0.5, limit=2)
    for sample, path in zip(samples, sorted(reference.glob("*.npz")), strict=False):
        arrays = np.load(path)
        sparse = sparse_to_dense(project_points(sample.points_camera_m, sample.truth_camera))
        for ours_m, theirs in ((sample.truth_depth_m, "depth_cm"), (sparse, "depth4_cm")):
            theirs_m = np.where(arrays[theirs] > 0, arrays[theirs] / 100.0, np.nan)
            np.testing.assert_allclose(ours_m[:-1], theirs_m[:-1], atol=0.0051)
        assert sample.stamp_ns == arrays["stamp_ns"]


def depth_message(stamp_ns, depth_m, width_px=WIDTH_PX):
    message = image_message(stamp_ns, np.zeros((HEIGHT_PX, width_px, 3), np.uint8))
    data = np.full(HEIGHT_PX * width_px, depth_m, np.float32).view(np.uint8)
    return dataclasses.replace(message, encoding="32FC1", step=4 * width_px, data=data)


@pytest.mark.parametrize("truth_first", [True, False])
def test_depth_images_serve_as_truth_at_their_own_stamps(tmp_path, truth_first):
    messages = drive_messages(images=3)
    truths = [
        ("/truth/depth", START_NS + n * PERIOD_NS, depth_message(START_NS + n * PERIOD_NS, 3 + n)) for n in (0, 2)
    ]
    path = write_bag(tmp_path / "bag", [*truths, *messages] if truth_first else [*messages, *truths])
    samples = samples_of(path, truth="/truth/depth")
    assert [(s.stamp_ns - START_NS) // PERIOD_NS for s in samples] == [0, 2]
    for sample, depth_m in zip(samples, (3.0, 5.0), strict=True):
        np.testing.assert_array_equal(sample.truth_depth_m, np.full((HEIGHT_PX, WIDTH_PX), depth_m, np.float32))
        assert sample.truth_camera == sample.camera


def test_depth_images_of_another_camera_are_refused(tmp_path):
    wide = ("/truth/depth", START_NS, depth_message(START_NS, 3.0, width_px=2 * WIDTH_PX))
    path = write_bag(tmp_path / "bag", [wide, *drive_messages(images=1)])
    with pytest.raises(DataError, match=r"/truth/depth: expected frame camera_optical and 64x32 pixels.* got .*128x32"):
        samples_of(path, truth="/truth/depth")


def test_depth_images_have_one_size(tmp_path):
    messages = [("/truth/depth", START_NS, depth_message(START_NS, 3.0)), *drive_messages(images=1)]
    with pytest.raises(ConfigError, match=r"truth_scale: expected 1 for truth in depth images, got 0\.5"):
        samples_of(write_bag(tmp_path / "bag", messages), truth="/truth/depth", truth_scale=0.5)


def test_read_bag_gives_every_image_with_what_is_there_for_it(tmp_path):
    silent = (START_NS + PERIOD_NS, START_NS + 2 * PERIOD_NS)
    drive = [message for message in drive_messages(images=4) if message[0] != POINTS_TOPIC or message[1] not in silent]
    drive = [message for message in drive if message[0] != TRUTH_TOPIC or message[1] != START_NS]
    bag = write_bag(tmp_path / "bag", drive)
    samples = list(read_bag(bag, points=POINTS_TOPIC, truth=TRUTH_TOPIC))
    assert [sample.points_camera_m is None for sample in samples] == [False, True, True, False]
    assert [sample.truth_depth_m is None for sample in samples] == [True, False, False, False]
    assert all(sample.T_world_camera is not None and sample.speed_mps is not None for sample in samples)
    # Where samples are trained on or scored, they are whole.
    assert [sample.stamp_ns for sample in samples_of(bag)] == [samples[3].stamp_ns]


def test_read_bag_takes_places_parts_and_a_path_as_text(tmp_path):
    bag = write_bag(tmp_path / "bag", drive_messages(images=4))
    T_camera_lidar = np.eye(4)
    T_camera_lidar[2, 3] = 100.0
    (sample,) = read_bag(str(bag), points=POINTS_TOPIC, T_camera_lidar=T_camera_lidar, skip=1, limit=1)
    assert sample.stamp_ns == START_NS + PERIOD_NS and sample.truth_depth_m is None
    assert sample.points_camera_m[:, 2].min() > 90.0
    (sample,) = read_bag(bag, points="none", odometry="none", limit=1)
    assert (sample.points_camera_m, sample.T_world_camera, sample.speed_mps) == (None, None, None)


def test_the_nearest_scan_counts_also_one_that_comes_after_the_image(tmp_path):
    # A LiDAR whose scans come 9 ms after the images; its last scan before each is 91 ms old, too far to be of it.
    messages = []
    for topic, stamp_ns, message in drive_messages(images=4, depth_m=10.0):
        if topic in (POINTS_TOPIC, TRUTH_TOPIC):
            stamp_ns += 9_000_000
            message = points_message(stamp_ns, wall_points(10.0, 4 if topic == POINTS_TOPIC else 1))
        messages.append((topic, stamp_ns, message))
    samples = samples_of(write_bag(tmp_path / "bag", sorted(messages, key=lambda entry: entry[1])))
    assert [sample.stamp_ns for sample in samples] == [START_NS + n * PERIOD_NS for n in range(4)]
    assert all(np.nanmedian(sample.truth_depth_m) == pytest.approx(10.0, rel=1e-5) for sample in samples)


def test_a_broken_transform_costs_itself_and_not_the_bag(tmp_path):
    broken = static_message()
    broken.transforms[0].header.frame_id = ""
    messages = [("/tf_static", START_NS, broken), ("/tf_static", START_NS, ("tf2_msgs/msg/TFMessage", bytes(7)))]
    samples = read_bag(write_bag(tmp_path / "bag", [*messages, *drive_messages(images=2)]), points=POINTS_TOPIC)
    assert all(len(sample.points_camera_m) for sample in samples)
    assert sorted(why.split(":")[0] for why in samples.left_out) == ["/tf_static", "/tf_static"]


def test_what_cannot_be_used_is_left_out_and_counted(tmp_path):
    messages = drive_messages(images=5)
    clouds = [n for n, (topic, _, _) in enumerate(messages) if topic == POINTS_TOPIC]
    messages[clouds[1]][2].data = messages[clouds[1]][2].data[:40]
    images = [n for n, (topic, _, _) in enumerate(messages) if topic == IMAGE_TOPIC]
    messages[images[3]][2].data = messages[images[3]][2].data[:40]
    samples = BagSamples(
        write_bag(tmp_path / "bag", messages), BagQuery(TopicNames(points=POINTS_TOPIC), TruthChoice(TRUTH_TOPIC))
    )
    assert len(list(samples)) == 3
    assert sorted(why.split(":")[0] for why in samples.left_out) == sorted([POINTS_TOPIC, POINTS_TOPIC, IMAGE_TOPIC])
