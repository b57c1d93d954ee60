# SPDX-License-Identifier: Apache-2.0
"""Synthetic drives as data sets."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

from mono_depth_ros.datasets.open_dataset import open_dataset
from mono_depth_ros.datasets.rendered.simulation import SimulationPlan, rendered_frames
from mono_depth_ros.datasets.rendered.synthetic_samples import SyntheticSamples, default_cache
from mono_depth_ros.datasets.sample import prepare
from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.distortion import Distortion
from mono_depth_ros.geometry.sparse_depth import project_points
from mono_depth_ros.synthetic.sensors.camera_rig import CameraMount, pinhole

STREET = "seed=7&seconds=0.4&rate=10&size=96x48&samples=1"


def opened(cache, query=STREET, world="street"):
    return open_dataset(f"synthetic:{world}?{query}&cache={cache}")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    prepare(opened(folder, f"{STREET}&lidar_beams=16"))
    return folder


def relative_errors(sample):
    """|point - truth| / truth where a point is in view."""
    sparse = project_points(sample.points_camera_m, sample.camera)
    truth_m = sample.truth_depth_m[sparse.rows, sparse.cols]
    known = np.isfinite(truth_m)
    return np.abs(sparse.depth_m - truth_m)[known] / truth_m[known]


def test_a_street_has_exact_depth_labels_and_motion(cache):
    samples = opened(cache, f"{STREET}&lidar_beams=16")
    assert len(samples) == 4
    for index, sample in enumerate(samples):
        assert sample.stamp_ns == index * 100_000_000
        assert sample.image_rgb.shape == (48, 96, 3) and sample.labels.shape == (48, 96)
        assert np.isfinite(sample.truth_depth_m).mean() > 0.3
        assert sample.speed_mps > 0.1
        errors = relative_errors(sample)
        assert len(errors) > 100 and np.median(errors) < 0.02
    first, second = samples[0], samples[1]
    moved_m = np.linalg.norm(first.T_self_other(second)[:3, 3])
    assert moved_m == pytest.approx(0.05 * (first.speed_mps + second.speed_mps), rel=0.05)


def test_context_is_the_next_frame_with_the_true_motion(cache):
    samples = opened(cache, f"{STREET}&lidar_beams=16")
    after = samples.context(1, 1)
    np.testing.assert_array_equal(after.image_rgb, samples[2].image_rgb)
    np.testing.assert_allclose(after.T_context_sample, samples[2].T_self_other(samples[1]), atol=1e-12)
    assert samples.context(0, -1) is None and samples.context(3, 1) is None
    for index in (-1, 4):
        with pytest.raises(IndexError):
            samples[index]


def test_what_is_rendered_is_not_rendered_again(cache, monkeypatch):
    def refuse(*_):
        raise AssertionError("a frame was rendered")

    monkeypatch.setattr("mono_depth_ros.datasets.rendered.synthetic_samples.rendered_frames", refuse)
    monkeypatch.setattr(SimulationPlan, "drive", refuse)
    monkeypatch.setattr(SimulationPlan, "course", refuse)
    samples = opened(cache, f"{STREET}&lidar_beams=16")
    assert len(list(samples)) == 4 and samples[2].stamp_ns == 200_000_000


def test_an_interrupted_drive_is_completed_with_the_same_frames(cache, tmp_path):
    whole = [sample.image_rgb for sample in opened(cache, f"{STREET}&lidar_beams=16")]
    plan = SimulationPlan(7, 0.4, 10.0, 96, 48, 16, 1, sensors=("lidar", "odom"))
    samples = SyntheticSamples(plan, cache=tmp_path, workers=1)
    next(iter(samples))  # and is stopped there
    frames = sorted(samples.folder.glob("*.npz"))
    assert len(frames) == 1
    frames[0].write_bytes(frames[0].read_bytes()[:100])  # the machine lost its power
    seen = []
    samples.prepare(lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for sample, image_rgb in zip(samples, whole, strict=True):
        np.testing.assert_array_equal(sample.image_rgb, image_rgb)


def test_another_plan_has_a_folder_of_its_own(cache):
    plans = [SimulationPlan(7), SimulationPlan(8), SimulationPlan(7, lidar_beams=16), SimulationPlan(7, seconds=3.0)]
    plans = [plan for plan in plans if "lidar" in plan.equipped()]
    assert len({SyntheticSamples(plan, cache=cache).folder for plan in plans}) == 4


def test_a_moving_scanner_is_brought_to_the_image(cache):
    """Each point was measured at its own time: no one motion takes them all to where the camera sees them."""
    plan = SimulationPlan(7, 0.4, 10.0, 96, 48, 16, 1, sensors=("lidar", "odom"))
    sample = SyntheticSamples(plan, cache=cache)[1]
    frame = next(itertools.islice(rendered_frames(plan, 1, SyntheticSamples(plan, cache=cache).folder), 1, None))
    as_measured = np.c_[frame.lidar.points_lidar, np.ones(len(frame.lidar.points_lidar))]
    T_fitted = np.linalg.lstsq(as_measured, sample.points_camera_m, rcond=None)[0]
    error_m = np.linalg.norm(as_measured @ T_fitted - sample.points_camera_m, axis=1)
    late = np.abs(frame.lidar.time_s) > 0.03
    assert np.median(error_m[late]) > 0.1 * 0.03 * sample.speed_mps


@pytest.mark.parametrize("points", ["scan", "tof", "range", "none"])
def test_an_indoor_robot_has_other_sensors(tmp_path, points):
    sample = opened(tmp_path, f"seed=3&seconds=0.1&size=64x48&samples=1&points={points}", "indoor")[0]
    assert np.nanmax(sample.truth_depth_m) < 40.0
    if points == "none":
        assert sample.points_camera_m is None
    else:
        assert sample.points_camera_m.dtype == np.float32 and sample.points_camera_m.shape[1] == 3


def test_patterns_hold_for_rendered_drives(cache):
    query = f"{STREET}&lidar_beams=16&grid=16&hold_out=yes"
    sample = next(iter(opened(cache, query)))
    whole = next(iter(opened(cache, f"{STREET}&lidar_beams=16")))
    assert 0 < len(sample.points_camera_m) <= 18 < len(whole.points_camera_m)
    assert np.isfinite(sample.truth_depth_m).sum() < np.isfinite(whole.truth_depth_m).sum()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("synthetic:moon", "world: expected one of street, indoor, chaos, got 'moon'"),
        ("synthetic:street?beams=16", "expected lidar_beams= of the LiDAR beside it"),
        ("synthetic:street?lidar_beams=5", "lidar beams: expected one of"),
        ("synthetic:street?points=sonar", "points: expected one of lidar, scan, tof, range, none"),
        ("synthetic:street?camera=rear", "camera: expected one of"),
        ("synthetic:street?size=640", "size: expected WIDTHxHEIGHT"),
        ("synthetic:street?rig=nine", "rig: expected one of"),
        ("synthetic:street?seconds=0", "seconds: expected more than 0"),
        ("synthetic:street?tof=8&random=5", "sparse input: expected one of"),
    ],
)
def test_a_wrong_world_or_key_is_refused(tmp_path, url, message):
    with pytest.raises(ConfigError, match=message):
        open_dataset(f"{url}{'&' if '?' in url else '?'}cache={tmp_path}")


def test_frames_are_kept_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "mono_depth_ros"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "mono_depth_ros"


def test_a_cache_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="expected a folder to write to"):
        opened(tmp_path / "file")[0]


def test_a_distorted_lens_is_refused(tmp_path):
    mount = CameraMount("bent", pinhole(96, 48, 81.0), (1.2, 0.0, 1.5), distortion=Distortion(k1=-0.2))
    with pytest.raises(ConfigError, match=r"camera bent: expected a lens without distortion.*simulate"):
        SyntheticSamples(SimulationPlan(7, seconds=0.1, cameras=(mount,)), cache=tmp_path)


@pytest.mark.parametrize(("seconds", "outcome"), [(0.1, "1"), (0.2, "ConfigError")])
def test_a_script_without_a_guard_has_its_single_frame_and_of_more_is_told_what_to_do(tmp_path, seconds, outcome):
    script = tmp_path / "script.py"
    url = f"synthetic:indoor?seconds={seconds}&size=64x64&samples=1&points=none&cache={tmp_path}"
    script.write_text(
        f"from mono_depth_ros import MonoDepthError, open_dataset\n"
        f"samples = open_dataset({url!r})\n"
        f"samples._workers = 2\n"
        f"try:\n    print(len(list(samples)))\n"
        f"except MonoDepthError as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.startswith(outcome), done.stderr
    assert (outcome == "1") or "__main__" in done.stdout
