# SPDX-License-Identifier: Apache-2.0
"""`mono-depth audit` on a tiny bag: the images that show a hole are listed, drawn, and left out of training."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bag_maker import FOCAL_PX, HEIGHT_PX, IMAGE_TOPIC, START_NS, WIDTH_PX, drive_messages, write_bag
from dial_model import write_model

from mono_depth_ros.cli.audit import RULES
from mono_depth_ros.cli.main import build_parser, main
from mono_depth_ros.datasets.excluded_frames import read_excluded_frames
from mono_depth_ros.inference.contract import load_contract
from mono_depth_ros.inference.ground_holes import DEFAULT_HOLE_POLICY

PERIOD_NS = 100_000_000


class RoadEngine:
    """A level road; every image that is brighter than 20 of 255 has something infinitely far away on it."""

    def __init__(self, model_dir, providers):
        self.contract = load_contract(model_dir)

    def infer(self, rgb, points_bvu, points_depth_m):
        rows = np.arange(HEIGHT_PX)[:, None] - (HEIGHT_PX - 1) / 2
        depth = np.broadcast_to(np.minimum(FOCAL_PX * 1.5 / np.maximum(rows, 1e-6), 60.0), (HEIGHT_PX, WIDTH_PX))
        depths = np.repeat(depth[None].astype(np.float32), len(rgb), axis=0)
        for image, found in zip(rgb, depths, strict=True):
            if image[0, 0, 0] > 20:
                found[22:28, 24 : 24 + image[0, 0, 0] // 5] = 1e4
        return depths


@pytest.fixture
def audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Audits a drive of eight images, of which the last three have a hole."""
    bag = write_bag(tmp_path / "bag", drive_messages(images=8))
    model = write_model(tmp_path / "model")
    monkeypatch.setattr("mono_depth_ros.inference.engine.OnnxEngine", RoadEngine)

    def run(*options: str) -> SimpleNamespace:
        out = tmp_path / "audit"
        code = main(["audit", "--model", str(model), "--data", str(bag), "--out", str(out), *options])
        return SimpleNamespace(code=code, out=out, bag=bag)

    return run


def test_the_images_with_a_hole_are_listed_and_drawn_worst_first(audited, capsys):
    found = audited()
    assert found.code == 0 and "8 images, 3 with a hole in the ground (37.5 %)" in capsys.readouterr().out
    with (found.out / "frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["is_hole"] for row in rows] == ["False"] * 5 + ["True"] * 3
    assert [float(row["share"]) for row in rows[5:]] == pytest.approx([6 * n / (64 * 32) for n in (5, 6, 7)])
    assert all(float(row["camera_height"]) == pytest.approx(1.5, rel=1e-3) for row in rows)
    report = (found.out / "report.html").read_text()
    shown = [report.index(f"frames/{number:03d}.jpg") for number in range(3)]
    assert shown == sorted(shown) and len(list((found.out / "frames").iterdir())) == 3
    assert "3 (37.5 %)" in report and "0.5 camera heights" in report
    assert report.index(rows[7]["name"]) < report.index(rows[5]["name"])


def test_the_excluded_frames_are_those_with_a_hole(audited):
    found = audited()
    excluded = read_excluded_frames(found.out / "exclude.json").of(f"bag:{found.bag}")
    assert excluded is not None
    assert {stamp for _, stamp in excluded} == {START_NS + number * PERIOD_NS for number in (5, 6, 7)}
    assert {camera for camera, _ in excluded} == {IMAGE_TOPIC.rpartition("/")[0]} or len(excluded) == 3


def test_the_rule_is_an_option(audited):
    assert audited("--min-share", "0.018").code == 0
    rows = list(csv.DictReader((audited("--min-share", "0.018").out / "frames.csv").open()))
    assert [row["is_hole"] for row in rows] == ["False"] * 7 + ["True"]


@pytest.mark.parametrize("wrong", [("--margin", "0"), ("--min-share", "1"), ("--max-tilt-deg", "90"), ("--limit", "0")])
def test_a_rule_that_cannot_be_is_refused(audited, wrong, capsys):
    assert audited(*wrong).code == 1
    assert wrong[0] in capsys.readouterr().err


def test_the_help_tells_the_defaults_of_the_rule():
    for name, value in (("margin", DEFAULT_HOLE_POLICY.margin), ("min_share", DEFAULT_HOLE_POLICY.min_share)):
        assert f"(default: {value:g})" in RULES[name]
    assert f"(default: {DEFAULT_HOLE_POLICY.min_slope:g})" in RULES["min_slope"]
    assert f"(default: {np.rad2deg(DEFAULT_HOLE_POLICY.ground.max_tilt_rad):g})" in RULES["max_tilt_deg"]
    assert build_parser().parse_args(["audit", "--model", "m", "--data", "d", "--out", "o"]).margin is None


def test_the_file_says_which_command_made_it(audited, monkeypatch):
    monkeypatch.setattr("sys.argv", ["mono-depth", "audit", "--data", "a b"])
    content = json.loads((audited().out / "exclude.json").read_text())
    assert content["made_by"] == "mono-depth audit --data 'a b'"
