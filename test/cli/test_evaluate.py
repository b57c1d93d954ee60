# SPDX-License-Identifier: Apache-2.0
"""`mono-depth evaluate` on a tiny bag: the table and the JSON."""

import argparse
import json

import pytest
from bag_maker import HEIGHT_PX, POINTS_TOPIC, TRUTH_TOPIC, WIDTH_PX, drive_messages, write_bag
from dial_model import write_model

from mono_depth_ros.cli import evaluate
from mono_depth_ros.errors import ConfigError, DataError

METRICS = {"abs_rel", "sq_rel", "rmse", "rmse_log", "delta1", "delta2", "delta3", "mae", "irmse", "imae", "silog"}


@pytest.fixture
def run(tmp_path):
    """Evaluates the closed-form model (2 m + red, plus the mean of the points) before a wall at 10 m."""
    bag = write_bag(tmp_path / "bag", drive_messages(images=3, depth_m=10.0))
    model = write_model(tmp_path / "model")

    def evaluate_bag(*options, gt_points=TRUTH_TOPIC):
        parser = argparse.ArgumentParser()
        evaluate.add_parser(parser.add_subparsers())
        command = ["evaluate", "--model", str(model), "--data", str(bag), "--points", POINTS_TOPIC]
        args = parser.parse_args([*command, "--gt-points", gt_points, *options])
        return args.run(args)

    return evaluate_bag


def test_the_json_is_an_object_of_methods_with_metrics_images_and_pixels(run, tmp_path):
    path = tmp_path / "scores" / "street.json"
    assert run("--json", str(path)) == 0
    scores = json.loads(path.read_text())
    assert {"prediction", "completion", "nearest", "classical"} <= set(scores)
    for score in scores.values():
        assert set(score) == METRICS | {"images", "pixels", "protocol"}
        assert (score["images"], score["pixels"]) == (3, 3 * (HEIGHT_PX * WIDTH_PX - 8 * 16))
    # At red = 0, 5, 10 of 255 the model says 2 m and a little, or 12 m and a little with points; these lie at 10 m.
    assert scores["prediction"]["mae"] == pytest.approx(8.0 - 5 / 255, rel=1e-4)
    assert scores["completion_network"]["mae"] == pytest.approx(2.0 + 5 / 255, rel=1e-4)
    assert scores["completion"]["mae"] == pytest.approx(0.0, abs=0.01)
    assert scores["nearest"]["abs_rel"] == pytest.approx(0.0, abs=1e-5)
    assert scores["prediction"]["protocol"]["points"] == POINTS_TOPIC
    assert list(path.parent.iterdir()) == [path]


def test_the_table_has_a_column_per_method(run, capsys):
    run()
    text = capsys.readouterr().out
    for word in ("prediction", "completion", "nearest", "classical", "abs_rel", "irmse (1/km)", "3 images"):
        assert word in text


def test_the_baselines_can_be_scored_without_a_model(run, tmp_path):
    run("--model", "none", "--json", str(tmp_path / "scores.json"), "--limit", "2")
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert list(scores) == ["nearest", "classical"]
    assert scores["nearest"]["images"] == 2


def test_truth_beyond_the_farthest_depth_that_counts_leaves_nothing_to_score(run):
    with pytest.raises(DataError, match="at least one image with points and truth in view, got none"):
        run("--max-depth-m", "9")


def test_an_unknown_truth_topic_lists_what_the_bag_has(run, tmp_path):
    with pytest.raises(DataError, match=f"truth topic /velodyne: .* got no such topic; the bag has: .*{TRUTH_TOPIC}"):
        run("--json", str(tmp_path / "scores.json"), gt_points="/velodyne")
    assert not (tmp_path / "scores.json").exists()


def test_scores_that_cannot_be_written_are_an_error(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"--json .*: expected a place to write to"):
        run("--model", "none", "--json", str(tmp_path / "file" / "scores.json"))


def test_a_limit_below_one_is_refused(run):
    with pytest.raises(ConfigError, match="--limit: expected at least 1, got 0"):
        run("--limit", "0")
