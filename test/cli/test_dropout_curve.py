# SPDX-License-Identifier: Apache-2.0
"""`mono-depth dropout-curve` on a tiny bag with a model in closed form."""

import json

import numpy as np
import pytest
from bag_maker import TRUTH_TOPIC, drive_messages, write_bag
from dial_model import write_model

from mono_depth_ros.cli.main import main
from mono_depth_ros.inference.contract import load_contract


@pytest.fixture
def run(tmp_path):
    """A drive towards a wall 10 m ahead; the model says 2 m + red, plus the mean depth of the points."""
    bag = write_bag(tmp_path / "bag", drive_messages(images=5, depth_m=10.0, speed_mps=2.0))
    model = write_model(tmp_path / "model")

    def measure(*options):
        command = ["dropout-curve", "--data", str(bag), "--points-dense", TRUTH_TOPIC, "--model", str(model)]
        return main([*command, "--out", str(tmp_path / "out"), "--max-age-s", "0.2", *options])

    return measure


def test_the_curve_of_a_bag_is_written_and_told(run, tmp_path, capsys):
    assert run() == 0
    content = json.loads((tmp_path / "out" / "dropout_curve.json").read_text())
    # Of five images, the first two have no scan of 0.2 s before them.
    assert (content["images"], content["protocol"]["images_skipped"]) == (3, 2)
    beams = {point["value"]: point["metrics"] for point in content["sweeps"]["beams"]["points"]}
    # The wall is at 9.6, 9.4 and 9.2 m, red is 10, 15 and 20 of 255.
    truth_m, red = (9.6, 9.4, 9.2), (10, 15, 20)
    predicted = [1 - (2 + r / 255) / t for t, r in zip(truth_m, red, strict=True)]
    assert beams[16]["prediction"]["abs_rel"] == pytest.approx(sum(predicted) / 3, rel=1e-4)
    network = [(2 + r / 255) / t for t, r in zip(truth_m, red, strict=True)]
    assert beams[16]["completion_network"]["abs_rel"] == pytest.approx(sum(network) / 3, rel=1e-4)
    assert beams[16]["completion"]["abs_rel"] < 0.02
    carried, as_is = (content["sweeps"][name]["points"][2]["metrics"] for name in ("age_carried", "age_as_is"))
    assert carried["nearest"]["abs_rel"] == pytest.approx(0.0, abs=1e-4)
    assert as_is["nearest"]["abs_rel"] == pytest.approx(sum(0.4 / t for t in truth_m) / 3, rel=1e-3)
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"dropout_curve.json", "dropout_curve.csv", "dropout_curve.png"}
    shown = capsys.readouterr().out
    for word in ("3 images", "packet_loss", "translation", "nearest", "dropout_curve.png"):
        assert word in shown


def test_a_model_that_points_make_worse_is_warned_of(run, tmp_path, capsys, monkeypatch):
    class Broken:
        """Right without points, and so far off with them that anchoring cannot repair it."""

        def __init__(self, model_dir, providers):
            self.contract, self.provider = load_contract(model_dir), "stand-in"

        def infer(self, rgb, points_bvu, points_depth_m):
            return np.full(rgb.shape[:3], 1e5 if len(points_depth_m) else 9.5, np.float32)

    monkeypatch.setattr("mono_depth_ros.inference.engine.OnnxEngine", Broken)
    assert run("--limit", "1") == 0
    shown = capsys.readouterr().out
    assert "WARNING: completion does not help at" in shown
    assert "beams at 1, 2, 4, 8, 16, 32, 64; the worst: beams" in shown and "prediction alone 0.010" in shown
    findings = json.loads((tmp_path / "out" / "dropout_curve.json").read_text())["where_completion_stops_helping"]
    assert {"beams", "points", "packet_loss", "rotation"} <= {finding["sweep"] for finding in findings}


def test_a_url_has_its_samples_points_as_scan_and_says_what_it_lacks(run, tmp_path, capsys):
    url = f"bag:{tmp_path / 'bag'}?points={TRUTH_TOPIC}&gt_points={TRUTH_TOPIC}"
    model = write_model(tmp_path / "other_model")
    out = tmp_path / "url"
    assert main(["dropout-curve", "--data", url, "--model", str(model), "--out", str(out), "--max-age-s", "0"]) == 0
    content = json.loads((out / "dropout_curve.json").read_text())
    assert content["images"] == 5 and set(content["sweeps"]) == {
        "beams",
        "points",
        "packet_loss",
        "rotation",
        "translation",
    }
    assert content["protocol"]["sweeps_left_out"]
    beams = {point["value"]: point["metrics"] for point in content["sweeps"]["beams"]["points"]}
    assert beams[16]["nearest"]["abs_rel"] == pytest.approx(0.0, abs=1e-4)
    assert "no sweep of age_carried, age_as_is" in capsys.readouterr().out


def test_an_interrupted_curve_goes_on_where_it_stopped(run, tmp_path, monkeypatch, capsys):
    from mono_depth_ros.inference.engine import OnnxEngine

    assert run("--limit", "2") == 0
    whole = (tmp_path / "out" / "dropout_curve.csv").read_text()
    (tmp_path / "out" / "dropout_curve.csv").unlink()
    infer, ran = OnnxEngine.infer, []

    def counted(self, *arrays):
        ran.append(1)
        if len(ran) > stop_after:
            raise KeyboardInterrupt
        return infer(self, *arrays)

    monkeypatch.setattr(OnnxEngine, "infer", counted)
    stop_after = 60  # in the middle of the second image
    assert run("--limit", "2") == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    partial = tmp_path / "out.partial.jsonl"
    _key, *kept = partial.read_text().splitlines()
    assert len(kept) == 1 and not (tmp_path / "out" / "dropout_curve.csv").exists()
    stop_after = 10_000
    assert run("--limit", "2") == 0
    assert "goes on after 1 images" in capsys.readouterr().err
    assert (tmp_path / "out" / "dropout_curve.csv").read_text() == whole
    assert not partial.exists()


def test_several_drives_make_one_curve(run, tmp_path):
    url = f"bag:{tmp_path / 'bag'}?points={TRUTH_TOPIC}&gt_points={TRUTH_TOPIC}"
    command = ["dropout-curve", "--data", url, "--data", url, "--model", str(write_model(tmp_path / "other_model"))]
    assert main([*command, "--out", str(tmp_path / "two"), "--max-age-s", "0.1"]) == 0
    content = json.loads((tmp_path / "two" / "dropout_curve.json").read_text())
    # The first image of each drive has no older scan.
    assert (content["images"], content["protocol"]["images_skipped"]) == (8, 2)
    assert content["sweeps"]["age_carried"]["points"][1]["metrics"]["nearest"]["abs_rel"] == pytest.approx(
        0.0, abs=1e-4
    )


def test_options_of_a_bag_and_of_a_url_are_not_mixed(run, tmp_path, capsys):
    assert run("--scan", "truth") == 1
    assert "--scan: expected it with a URL only" in capsys.readouterr().err
    command = ["dropout-curve", "--out", str(tmp_path / "out"), "--data"]
    assert main([*command, "nyu:/data", "--points-dense", "/points"]) == 1
    assert "expected keys in the URL, got the option(s) --points-dense" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "bag")]) == 1
    assert "--points-dense: expected the topic" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "bag"), "--data", "nyu:/data"]) == 1
    assert "expected one path of a bag, or URLs only" in capsys.readouterr().err


def test_errors_are_told_in_one_line(run, capsys, tmp_path):
    assert run("--limit", "0") == 1
    assert "--limit: expected at least 1, got 0" in capsys.readouterr().err
    assert run("--reference-beams", "3") == 1
    assert "beams: expected one of 0, 1, 2, 4" in capsys.readouterr().err
    assert run("--max-age-s", "3") == 1
    assert "a scan 3 s before it, got none" in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))
