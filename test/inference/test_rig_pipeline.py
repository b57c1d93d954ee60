# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from synthetic_rig import CAMERAS, WRONG, rig_frame, rig_snapshots, true_engine

from mono_depth_ros.inference.completion import NETWORK_ALONE
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.pipeline import DEFAULT_DIAL_POLICY, DepthPipeline
from mono_depth_ros.inference.rig_pipeline import RigPipeline
from mono_depth_ros.perception.dial import DialPolicy, Mode
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.rig_cloud import RigView, merge_views
from mono_depth_ros.perception.scale import ScalePolicy, ScaleSource
from mono_depth_ros.perception.snapshot import SensorSnapshot
from mono_depth_ros.share import model_path

POINTS_FIRST = ScalePolicy(order=(ScaleSource.POINTS, ScaleSource.MODEL))


def rig_of(engine, cameras=CAMERAS, policy=POINTS_FIRST, dial=DEFAULT_DIAL_POLICY) -> RigPipeline:
    pipelines = {camera: DepthPipeline(engine, dial, NETWORK_ALONE, policy) for camera in cameras}
    return RigPipeline(engine, pipelines, policy)


def error_of(result: object, number: int) -> float:
    """Largest relative error where the truth is known."""
    assert isinstance(result, DepthResult)
    true_m = rig_frame().views[number].truth_depth_m
    error = np.abs(result.depth_m / true_m - 1.0)
    return float(np.nanmax(np.where(true_m < 75.0, error, np.nan)))


def assert_same_depth(a_m: np.ndarray, b_m: np.ndarray) -> None:
    """Equal but for rounding; at the end of the model's range that decides whether a depth is known."""
    known = np.isfinite(a_m) & np.isfinite(b_m)
    assert (np.isfinite(a_m) ^ np.isfinite(b_m)).mean() < 1e-3
    np.testing.assert_allclose(a_m[known], b_m[known], rtol=1e-2)


def test_six_cameras_go_through_the_network_at_once(tmp_path):
    engine = true_engine(tmp_path)
    results = rig_of(engine, policy=ScalePolicy(order=(ScaleSource.POINTS,), refresh_s=100.0)).step(rig_snapshots())
    assert list(results) == list(CAMERAS)
    assert len(engine.batches) == 1
    for number, result in enumerate(results.values()):
        assert isinstance(result, DepthResult) and result.mode is Mode.COMPLETION
        assert error_of(result, number) < 1e-5


def test_each_camera_is_dialled_by_its_own_points_and_shares_the_scale_of_those_with_points(tmp_path):
    engine = true_engine(tmp_path)
    seen = ("camera_rear_left", "camera_rear")
    results = rig_of(engine).step(rig_snapshots(with_points=seen))
    assert len(engine.batches) == 1
    for number, (camera, result) in enumerate(results.items()):
        assert isinstance(result, DepthResult)
        assert result.mode is (Mode.COMPLETION if camera in seen else Mode.PREDICTION)
        # Nothing told the other four cameras that the network is wrong by 0.6; pixels as coarse as these have their
        # nearest point, and so the factor, some percent too near.
        assert error_of(result, number) < 0.05, camera
    assert results["camera_front_left"].scale.source is ScaleSource.POINTS
    assert results["camera_front_left"].scale.value == pytest.approx(1.0 / WRONG, rel=0.05)


def test_without_a_shared_scale_a_camera_without_points_would_be_wrong(tmp_path):
    engine = true_engine(tmp_path)
    alone = DepthPipeline(engine, DialPolicy(), NETWORK_ALONE, POINTS_FIRST).step(
        rig_snapshots(())["camera_front_left"]
    )
    assert error_of(alone, 1) == pytest.approx(1.0 - WRONG, abs=0.01)


def test_a_camera_without_an_image_is_left_out(tmp_path):
    engine = true_engine(tmp_path)
    snapshots = rig_snapshots()
    del snapshots["camera_rear"]
    results = rig_of(engine).step(snapshots)
    assert set(results) == set(CAMERAS) - {"camera_rear"}
    assert rig_of(engine).step({}) == {}


def test_a_rig_gives_what_each_camera_alone_would_give(tmp_path):
    engine = OnnxEngine(model_path("street"))
    width, height = engine.contract.width_px, engine.contract.height_px
    snapshots = {camera: rig_snapshots(("camera_front",))[camera] for camera in CAMERAS[:2]}
    policy = ScalePolicy()
    together = rig_of(engine, CAMERAS[:2], policy).step(snapshots)
    for camera, snapshot in snapshots.items():
        alone = DepthPipeline(engine, DialPolicy(), NETWORK_ALONE, policy).step(snapshot)
        assert isinstance(alone, DepthResult) and isinstance(together[camera], DepthResult)
        assert alone.mode is together[camera].mode
        assert alone.depth_m.shape == (height, width)
        assert_same_depth(together[camera].depth_m, alone.depth_m)


def test_forced_completion_fails_only_where_there_are_no_points(tmp_path):
    engine = true_engine(tmp_path)
    results = rig_of(engine, dial=DialPolicy(forced=Mode.COMPLETION)).step(rig_snapshots(("camera_front",)))
    made = [camera for camera, result in results.items() if isinstance(result, DepthResult)]
    assert made == ["camera_front"]
    assert results["camera_rear"].reason == "completion_forced_without_points"


def test_the_merged_cloud_of_a_rendered_rig_is_the_surface_once(tmp_path):
    results = rig_of(true_engine(tmp_path)).step(rig_snapshots())
    views = [
        RigView(result.camera, result.depth_m, result.image_rgb, view.T_base_camera)
        for result, view in zip(results.values(), rig_frame().views, strict=True)
    ]
    points_m, _, owner, _ = merge_views(views)
    every = sum(int(np.isfinite(view.depth_m).sum()) for view in views)
    assert 0.6 * every < len(points_m) < 0.9 * every
    # 81 degrees each, 60 apart: every camera keeps its middle.
    assert np.bincount(owner, minlength=6).min() > 0.4 * every / 6
    # No direction has points of more than the two cameras that meet there, and those not over each other's.
    azimuth = np.rad2deg(np.arctan2(points_m[:, 1], points_m[:, 0]))
    for number, view in enumerate(views):
        heading = np.rad2deg(np.arctan2(view.T_base_camera[1, 2], view.T_base_camera[0, 2]))
        off = np.abs((azimuth[owner == number] - heading + 180.0) % 360.0 - 180.0)
        assert np.percentile(off, 95) < 38.0


def test_three_cameras_of_a_parked_car_give_one_cloud(shared_data):
    from mono_depth_ros.datasets.open_dataset import open_dataset

    cameras = ("camera_01", "camera_05", "camera_06")
    bag = shared_data / "data" / "ddad_parked"
    samples = {}
    for camera in cameras:
        url = f"bag:{bag}?camera=/{camera}&points=/lidar/points_4beam&gt_points=/lidar/points&rectified=yes"
        samples[camera] = next(iter(open_dataset(url)))
    snapshots = {
        camera: SensorSnapshot(
            sample.stamp_ns, camera, sample.image_rgb, sample.camera, sample.points_camera_m, 0.0, None, None, ()
        )
        for camera, sample in samples.items()
    }
    engine = OnnxEngine(model_path("street"))
    pipelines = {camera: DepthPipeline(engine) for camera in cameras}
    results = RigPipeline(engine, pipelines).step(snapshots)
    views = []
    for camera, result in results.items():
        assert isinstance(result, DepthResult) and result.mode is Mode.COMPLETION, camera
        sample = samples[camera]
        assert sample.T_world_camera is not None
        views.append(RigView(result.camera, result.depth_m, result.image_rgb, sample.T_world_camera))
        alone = DepthPipeline(engine).step(snapshots[camera])
        assert isinstance(alone, DepthResult)
        assert_same_depth(result.depth_m, alone.depth_m)
    points_m, _, owner, _ = merge_views(views)
    every = sum(int(np.isfinite(view.depth_m).sum()) for view in views)
    # The long lens of camera_01 looks where 05 and 06 look too.
    assert len(points_m) < 0.97 * every
    assert set(np.unique(owner)) == {0, 1, 2}
