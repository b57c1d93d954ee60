# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mono_depth_ros.evaluation.demo_report import (
    DemoFrame,
    DemoPicture,
    DemoSummary,
    mode_changes,
    mode_table,
    write_report,
)
from mono_depth_ros.evaluation.demo_score import sample_nearest, score_frame
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.perception.dial import Mode


def frame(index: int, mode: Mode, abs_rel: float = 0.1, latency_s: float = 0.02) -> DemoFrame:
    return DemoFrame(index, index / 10, mode, "points_used", True, abs_rel, 1.0, 0.9, latency_s)


def test_mode_changes_are_the_frames_where_the_dial_turned():
    modes = [Mode.COMPLETION, Mode.COMPLETION, Mode.PREDICTION, Mode.PREDICTION, Mode.COMPLETION]
    changed = mode_changes([frame(index, mode) for index, mode in enumerate(modes)])
    assert [change.index for change in changed] == [0, 2, 4]


def test_the_table_has_a_row_per_mode_that_occurred():
    frames = [frame(0, Mode.COMPLETION, 0.1, 0.010), frame(1, Mode.COMPLETION, 0.3, 0.030)]
    (row,) = mode_table(frames)
    assert (row["mode"], row["frames"], row["AbsRel"], row["latency median [ms]"]) == ("COMPLETION", "2", "0.200", "20")


def test_unknown_depth_is_scored_as_far_away_and_unknown_truth_not_at_all():
    truth_m = np.array([[10.0, 20.0, np.nan, 100.0]], np.float32)
    depth_m = np.array([[10.0, np.nan, 5.0, 5.0]], np.float32)
    scored = score_frame(
        3, 0.3, depth_m, truth_m, mode=Mode.PREDICTION, reason="no_points", lidar_sent=False, latency_s=0.0
    )
    assert scored.abs_rel == pytest.approx((0 + (80 - 20) / 20) / 2)


def test_truth_is_sampled_never_averaged():
    truth_m = np.tile(np.array([2.0, 50.0], np.float32), (4, 8))
    assert set(np.unique(sample_nearest(truth_m, 3, 5))) <= {2.0, 50.0}


def test_the_report_is_one_page_and_one_picture_and_escapes_what_it_shows(tmp_path):
    camera = PinholeCamera(32, 16, 20.0, 20.0, 15.5, 7.5)
    depth_m = np.full((16, 32), 10.0, np.float32)
    picture = DemoPicture(
        frame(0, Mode.COMPLETION),
        np.zeros((16, 32, 3), np.uint8),
        np.full((16, 32), np.nan, np.float32),
        depth_m,
        depth_m,
        camera.unproject(depth_m).reshape(-1, 3),
        np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]], np.float64),
    )
    summary = DemoSummary("<script>", "CPU", "2 cores", "2026-01-01", 2, 2, 1, None, "mono-depth demo")
    page, image = write_report(tmp_path, summary, [frame(0, Mode.COMPLETION), frame(1, Mode.PREDICTION)], [picture])
    text = page.read_text()
    assert "<script>" not in text and "&lt;script&gt;" in text
    assert image.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.png"]
