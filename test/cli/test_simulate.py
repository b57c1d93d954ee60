# SPDX-License-Identifier: Apache-2.0
"""`mono-depth simulate`, and what the other commands make of its bags."""

import json

import numpy as np
import pytest
from dial_model import write_model

from mono_depth_ros.cli.main import main
from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
from mono_depth_ros.datasets.rendered.simulation import SimulationPlan, rendered_frames
from mono_depth_ros.evaluation.truth_check import photometric_agreement, points_agreement
from mono_depth_ros.synthetic.robot import SyntheticDrive

SMALL = ["--seconds", "0.5", "--size", "96x64", "--seed", "3"]


def simulate(out, *options):
    return main(["simulate", "--out", str(out), *SMALL, *options])


def raw_messages(path):
    with Rosbag2Reader(path) as bag:
        return [(m.topic, m.log_stamp_ns, m.raw) for m in bag.messages(sorted(bag.types), reorder_s=0.0)]


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp("simulated") / "street"
    assert simulate(path, "--workers", "1") == 0
    return path


def test_several_processes_write_the_same_messages_as_one(bag, tmp_path, capsys):
    assert simulate(tmp_path / "again", "--workers", "2") == 0
    assert raw_messages(tmp_path / "again") == raw_messages(bag)
    shown = capsys.readouterr().out
    assert "/lidar/points" in shown and "5 frames" in shown


def test_replay_completes_the_drive_without_being_told_topics(bag, tmp_path):
    model = write_model(tmp_path / "model")
    assert main(["replay", str(bag), "--out", str(tmp_path / "depth"), "--model", str(model)]) == 0
    with Rosbag2Reader(tmp_path / "depth") as result:
        assert result.counts["/depth/image_rect"] == 5
        statuses = [m for m in result.messages(["/depth_node/status"])]
    assert len(statuses) == 5


def test_evaluate_scores_against_the_true_depth_images(bag, tmp_path):
    model, scores = write_model(tmp_path / "model"), tmp_path / "scores"
    topics = ["--points", "/lidar/points", "--gt-points", "/truth/depth"]
    assert (
        main(["evaluate", "--data", str(bag), "--model", str(model), *topics, "--network-only", "--out", str(scores)])
        == 0
    )
    found = json.loads((scores / "results.json").read_text())["scores"]
    frames = rendered_frames(SimulationPlan(seed=3, seconds=0.5, width_px=96, height_px=64), workers=1)
    truths = [frame.views[0].truth_depth_m for frame in frames]
    near = sum(int((truth <= 80.0).sum()) for truth in truths)  # NaN in the sky is not near
    assert found["prediction"]["images"] == 5
    assert 0.85 * near < found["prediction"]["pixels"] < near  # points take their own pixels away
    # The model says 2 m and up to a metre more everywhere.
    mean_m = sum(float(truth[truth <= 80.0].sum()) for truth in truths) / near
    assert found["prediction"]["mae"] == pytest.approx(mean_m - 2.5, abs=1.0)
    assert found["nearest"]["mae"] < found["prediction"]["mae"]


def test_failures_come_from_a_file(tmp_path):
    failures = tmp_path / "failures.yaml"
    failures.write_text(
        "outages: [{sensor: lidar, from_s: 0.1, to_s: 0.3}]\nlow_rates: [{sensor: odom, keep_every: 5}]\n"
    )
    assert simulate(tmp_path / "bag", "--workers", "1", "--failures", str(failures), "--compressed") == 0
    with Rosbag2Reader(tmp_path / "bag") as result:
        assert (result.counts["/lidar/points"], result.counts["/odom"], result.counts["/truth/odom"]) == (3, 1, 5)
        assert result.counts["/camera/image_raw/compressed"] == 5


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("outages: [{sensor: lidar, from_s: 3, to_s: 2}]\nfreeze: []\n", ("from_s < to_s", "did you mean freezes?")),
        ("- lidar\n", ("expected a mapping, got list",)),
        ("a: [\n", ("expected a readable YAML file",)),
    ],
)
def test_broken_failures_are_one_error_with_the_file_in_it(tmp_path, capsys, text, parts):
    failures = tmp_path / "failures.yaml"
    failures.write_text(text)
    assert simulate(tmp_path / "bag", "--failures", str(failures)) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"mono-depth simulate: --failures {failures}: ") and "Traceback" not in told
    assert all(part in told for part in parts)
    assert not (tmp_path / "bag").exists()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--size", "96"], "--size: expected for example 640x192"),
        (["--lidar-beams", "5"], "expected one of [1, 4"),
        (["--seconds", "nan"], "seconds: expected more than 0"),
        (["--workers", "0"], "workers: expected at least 1"),
        (["--rig", "rig7"], "--rig rig7: expected one of single, stereo, front3, rig6 or a YAML file"),
        (["--sensors", "lidar,sonar"], "sensors: expected some of lidar, scan, tof, range, odom, twist, got sonar"),
        (["--elevations-deg", "2,x"], "--elevations-deg: expected for example"),
    ],
)
def test_a_drive_that_cannot_be_is_refused(tmp_path, capsys, options, part):
    assert simulate(tmp_path / "bag", *options) == 1
    assert part in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_simulation_goes_on_where_it_was(bag, tmp_path, monkeypatch, capsys):
    rendered, whole = [], SyntheticDrive.frame

    def interrupted(drive, index):
        if index == 3 and len(rendered) == 3:
            raise KeyboardInterrupt
        rendered.append(index)
        return whole(drive, index)

    monkeypatch.setattr(SyntheticDrive, "frame", interrupted)
    out = tmp_path / "bag"
    assert simulate(out, "--workers", "1") == 130
    assert "3 of 5 frames are kept in" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bag.partial-frames"]
    rendered.append("again")
    assert simulate(out, "--workers", "1") == 0
    assert rendered == [0, 1, 2, "again", 3, 4]
    assert "going on with 3 frames" in capsys.readouterr().out
    assert raw_messages(out) == raw_messages(bag)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bag"]


def test_frames_of_another_drive_are_not_taken_for_ones_of_this(bag, tmp_path):
    plan = SimulationPlan(seed=4, seconds=0.5, width_px=96, height_px=64)
    list(rendered_frames(plan, 1, tmp_path / "bag.partial-frames"))
    assert simulate(tmp_path / "bag", "--workers", "1") == 0
    assert raw_messages(tmp_path / "bag") == raw_messages(bag)


def test_a_rig_of_six_with_every_sensor(tmp_path):
    every = ["--rig", "rig6", "--sensors", "lidar,scan,tof,range,odom,twist", "--elevations-deg=3,-3,-9"]
    failures = tmp_path / "failures.yaml"
    failures.write_text(
        "outages: [{sensor: camera_rear, from_s: 0, to_s: 9}]\nbumps: [{sensor: camera_front, from_s: 0}]\n"
    )
    out = tmp_path / "bag"
    sizes = ["--size", "64x48", "--seconds", "0.3"]
    assert simulate(out, *every, *sizes, "--workers", "1", "--failures", str(failures)) == 0
    with Rosbag2Reader(out) as result:
        counts, transforms = result.counts, result.static_transforms()
    cameras = [f"camera_{place}" for place in ("front", "rear", "front_left", "front_right", "rear_left", "rear_right")]
    for camera in cameras:
        assert counts[f"/{camera}/image_raw"] == (0 if camera == "camera_rear" else 3)
        assert counts[f"/truth/{camera}/depth"] == counts[f"/truth/{camera}/labels"] == 3
    for topic in ("/lidar/points", "/scan", "/tof/points", "/range", "/odom", "/twist"):
        assert counts[topic] == 3, topic
    ahead = transforms.lookup("base_link", "camera_rear")[:3, 2]
    np.testing.assert_allclose(ahead[:2], [-1.0, 0.0], atol=0.03)
    for frame in (*cameras, "lidar", "scan", "tof", "range"):
        transforms.lookup("base_link", frame)


def test_a_rig_file_gives_lenses_their_distortion(tmp_path, repository):
    import re

    page = (repository / "docs" / "simulation.md").read_text()
    rig = tmp_path / "rig.yaml"
    rig.write_text(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    out = tmp_path / "bag"
    assert simulate(out, "--rig", str(rig), "--workers", "1", "--seconds", "0.2") == 0
    with Rosbag2Reader(out) as result:
        infos = [result.decode(message) for message in result.messages(["/camera_wide/camera_info"])]
        assert list(infos[0].d) == [-0.12, 0.02, 0.0005, -0.0003, 0.0]
        for camera in ("camera_wide", "camera_narrow"):
            agreed = photometric_agreement(result, camera)
            assert agreed.residual < 0.8 * agreed.unwarped
            assert points_agreement(result, camera).median_rel_error < 0.006


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("cameras: []\n", ("cameras: expected a list of cameras",)),
        (
            "cameras: [{name: Left, size: [64, 48], position_m: [1, 0]}, {name: a, sice: 3}]\nlidar: 1\n",
            ("cameras[0].position_m: expected a list of 3", "cameras[1].sice: unknown; did you mean size?", "lidar: "),
        ),
        ("cameras: [{name: odom, size: [64, 48], position_m: [1, 0, 1]}]\n", ("cameras[0]: camera odom: name:",)),
        (
            "cameras: [{name: a, size: [64, 48], position_m: [1, 0, 1], fx_px: 50}]\n",
            ("cameras[0]: expected fov_deg, or all of fx_px",),
        ),
        (
            "cameras: [{name: a, size: [64, 48], position_m: [1, 0, 1], distortion: [-0.9, 0, 0, 0, 0]}]\n",
            ("expected a ray for every pixel",),
        ),
    ],
)
def test_a_broken_rig_is_one_error_with_the_file_in_it(tmp_path, capsys, text, parts):
    rig = tmp_path / "rig.yaml"
    rig.write_text(text)
    assert simulate(tmp_path / "bag", "--rig", str(rig)) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"mono-depth simulate: --rig {rig}: ") and told.count("\n") == 1
    assert all(part in told for part in parts), told


def test_an_indoor_robot_has_short_range_sensors_that_agree_with_the_truth(tmp_path):
    assert simulate(tmp_path / "bag", "--world", "indoor", "--workers", "1", "--seconds", "0.3") == 0
    with Rosbag2Reader(tmp_path / "bag") as result:
        assert "/lidar/points" not in result.types and result.counts["/range"] == 3
        assert points_agreement(result, points="/scan").median_rel_error < 0.02
        assert points_agreement(result, points="/tof/points").median_rel_error < 0.1
        assert photometric_agreement(result).pairs == 2


def test_chaos_is_a_flight_with_a_lidar(tmp_path):
    assert simulate(tmp_path / "bag", "--world", "chaos", "--workers", "1") == 0
    with Rosbag2Reader(tmp_path / "bag") as result:
        # Many solids are a metre away, and 2 cm of noise are 2 % of that.
        assert points_agreement(result).median_rel_error < 0.04
        assert photometric_agreement(result).pairs == 4


def test_the_page_about_simulation_shows_failures_that_can_be_read(repository, tmp_path):
    import re

    page = (repository / "docs" / "simulation.md").read_text()
    example = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0]
    failures = tmp_path / "failures.yaml"
    failures.write_text(example)
    assert simulate(tmp_path / "bag", "--workers", "1", "--failures", str(failures)) == 0
