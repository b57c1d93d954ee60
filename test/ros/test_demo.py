# SPDX-License-Identifier: Apache-2.0
"""The demonstration, whole: rendered drive, installed node in its own process, report."""

import re

import pytest

from mono_depth_ros.cli.main import main

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("mono_depth_ros.msg", reason="needs the built messages: make build && . install/setup.bash")


def test_the_demo_turns_the_dial_both_ways_and_reports_every_image(tmp_path, dial_model, domain, monkeypatch, capfd):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    arguments = ["--size", "96x64", "--seconds", "3", "--rate-hz", "5", "--lidar-gap", "1-2.4"]
    assert main(["demo", "--out", str(tmp_path), "--model", str(dial_model), *arguments]) == 0
    page = (tmp_path / "report.html").read_text()
    facts = dict(re.findall(r"<tr><td>([^<]+)</td><td>([^<]*)</td></tr>", page))
    assert facts["model"] == "closed_form"
    assert facts["images sent"] == "15"
    assert facts["depth images received"] == "15"
    # Odometry carries the points of frame 4 for lidar.memory_s, one second, which ends with frame 9.
    assert facts["first image without LiDAR"] in {"9", "10"}
    assert facts["first image with LiDAR again"] == "12"
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.png"]
    assert "images sent 15, depth images received 15" in capfd.readouterr().out


def test_without_an_installed_node_the_demo_says_how_to_build_it(dial_model, monkeypatch, capsys):
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/nowhere")
    assert main(["demo", "--model", str(dial_model)]) == 1
    assert "make build" in capsys.readouterr().err
