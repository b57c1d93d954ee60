# SPDX-License-Identifier: Apache-2.0
"""`mono-depth simulate`, and what the other commands make of its bags."""

import json

import pytest
from dial_model import write_model

from mono_depth_ros.cli.main import main
from mono_depth_ros.datasets.rosbag2 import Rosbag2Reader
from mono_depth_ros.datasets.simulation import SimulationPlan, rendered_frames

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
    model, scores = write_model(tmp_path / "model"), tmp_path / "scores.json"
    topics = ["--points", "/lidar/points", "--gt-points", "/truth/depth"]
    assert main(["evaluate", "--data", str(bag), "--model", str(model), *topics, "--json", str(scores)]) == 0
    found = json.loads(scores.read_text())
    frames = list(rendered_frames(SimulationPlan(seed=3, seconds=0.5, width_px=96, height_px=64), workers=1))
    near = sum(int((frame.views[0].truth_depth_m <= 80.0).sum()) for frame in frames)  # NaN in the sky is not near
    assert found["prediction"]["images"] == 5
    assert 0.85 * near < found["prediction"]["pixels"] < near  # points take their own pixels away
    # The model says 2 m and up to a metre more everywhere.
    mean_m = sum(float(frame.views[0].truth_depth_m[frame.views[0].truth_depth_m <= 80.0].sum()) for frame in frames) / near
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
        ("- lidar\n", ("expected a mapping of failures, got list",)),
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
    ],
)
def test_a_drive_that_cannot_be_is_refused(tmp_path, capsys, options, part):
    assert simulate(tmp_path / "bag", *options) == 1
    assert part in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_page_about_simulation_shows_failures_that_can_be_read(repository, tmp_path):
    import re

    page = (repository / "docs" / "simulation.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    failures = tmp_path / "failures.yaml"
    failures.write_text(example)
    assert simulate(tmp_path / "bag", "--workers", "1", "--failures", str(failures)) == 0
