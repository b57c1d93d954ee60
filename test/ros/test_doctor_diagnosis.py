# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of what he saw; no ROS needed."""

import dataclasses

import pytest

from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.ros.doctor.diagnosis import diagnose, gives_depth
from mono_depth_ros.ros.doctor.facts import (
    CAMERA_INFO,
    IMAGE,
    ODOMETRY,
    POINTS,
    GraphFacts,
    InputHealth,
    ModelFacts,
    NodeFacts,
    PublisherFacts,
    StatusSummary,
    TopicFacts,
)
from mono_depth_ros.ros.doctor.findings import Finding, Severity

NODE = "/front/depth_node"


def topic(role: str, name: str, type_name: str, frame: str) -> TopicFacts:
    size = (640, 192) if role in (IMAGE, CAMERA_INFO) else None
    return TopicFacts(role, name, type_name, (PublisherFacts("/driver", type_name),), 30, 10.0, 0.02, frame, size)


TOPICS = (
    topic(IMAGE, "/front/image", "sensor_msgs/msg/Image", "camera"),
    topic(CAMERA_INFO, "/front/camera_info", "sensor_msgs/msg/CameraInfo", "camera"),
    topic(POINTS, "/points", "sensor_msgs/msg/PointCloud2", "lidar"),
    topic(ODOMETRY, "/odom", "nav_msgs/msg/Odometry", "base_link"),
)
STATUS = StatusSummary(30, 10.0, "COMPLETION", "points_used", True, 0.03, 30, 0, 0, "CPUExecutionProvider")
HEALTHY = NodeFacts(
    NODE,
    "active",
    parameters={"providers": ["CPUExecutionProvider"], "use_sim_time": False, "model": "street"},
    topics=TOPICS,
    listeners=1,
    status=STATUS,
    model=ModelFacts("street", 640, 192, 370.0),
    camera=PinholeCamera(640, 192, 370.0, 370.0, 319.5, 95.5),
)
TF = frozenset({("base_link", "lidar"), ("base_link", "camera")})


def said(node: NodeFacts, tf: frozenset[tuple[str, str]] = TF, clocks: int = 0) -> dict[str, Finding]:
    graph = GraphFacts(4.0, 0, ("/driver",), (node,), clocks, 400 * clocks, tf)
    return {finding.name: finding for finding in diagnose(graph)[NODE]}


def with_topic(role: str, **changes: object) -> NodeFacts:
    changed = tuple(dataclasses.replace(each, **changes) if each.role == role else each for each in TOPICS)
    return dataclasses.replace(HEALTHY, topics=changed)


def test_a_healthy_node_gives_depth_and_nothing_to_do():
    found = said(HEALTHY)
    assert list(found) == ["depth_comes"]
    assert found["depth_comes"].severity is Severity.GOOD
    assert "COMPLETION at 10.0 Hz" in found["depth_comes"].what


def test_no_node_at_all_names_the_domain():
    graph = GraphFacts(4.0, 7, ("/driver",))
    (finding,) = diagnose(graph)[""]
    assert finding.severity is Severity.ERROR and "domain 7" in finding.what and "/driver" in finding.what
    assert not gives_depth(diagnose(graph))


@pytest.mark.parametrize(
    ("changed", "name", "severity", "words"),
    [
        (with_topic(CAMERA_INFO, publishers=(), received=0), "no_publisher_of_camera_info", "ERROR", "nobody"),
        (
            with_topic(IMAGE, publishers=(), received=0, similar=("/cam/image_raw",)),
            "no_publisher_of_image",
            "ERROR",
            "image:=/cam/image_raw",
        ),
        (with_topic(IMAGE, received=0), "image_silent", "ERROR", "no message came"),
        (with_topic(POINTS, received=0), "points_silent", "WARNING", "depth is made without it"),
        (
            with_topic(
                IMAGE, publishers=(PublisherFacts("/driver", "sensor_msgs/msg/Image", "best effort"),), received=9
            ),
            "qos_mismatch",
            "ERROR",
            "qos_overrides./front/image.subscription.reliability:=best_effort",
        ),
        (
            with_topic(
                IMAGE, publishers=(PublisherFacts("/driver", "sensor_msgs/msg/Image", latched=True),), received=0
            ),
            "latched_missed",
            "ERROR",
            "qos_overrides./front/image.subscription.durability:=transient_local",
        ),
        (
            with_topic(IMAGE, publishers=(PublisherFacts("/driver", "sensor_msgs/msg/CompressedImage"),), received=0),
            "type_mismatch",
            "ERROR",
            "image_transport",
        ),
        (with_topic(POINTS, delay_s=3.02), "stamps_apart", "WARNING", "3.0 s behind"),
        (with_topic(POINTS, delay_s=-2.98), "stamps_apart", "WARNING", "3.0 s ahead of"),
        (with_topic(IMAGE, delay_s=1e8), "stamps_off_clock", "NOTE", "1157 days behind"),
        (with_topic(IMAGE, size_px=(320, 96)), "image_size_differs", "ERROR", "320x96"),
        (with_topic(CAMERA_INFO, frame_id="rear"), "frames_differ", "WARNING", "'rear'"),
        (with_topic(POINTS, frame_id=""), "no_frame_id", "WARNING", "/points"),
        (with_topic(POINTS, frame_id="velodyne"), "no_transform", "WARNING", "'velodyne'"),
        (
            dataclasses.replace(HEALTHY, camera_problem="fx = 0; is the camera calibrated?"),
            "camera_info_unusable",
            "ERROR",
            "fx = 0",
        ),
        (
            dataclasses.replace(HEALTHY, lens_problem="D is not 0"), "not_rectified", "WARNING", "rectified:=false"
        ),
        (
            dataclasses.replace(HEALTHY, camera=PinholeCamera(640, 192, 1200.0, 1200.0, 319.5, 95.5)),
            "other_intrinsics",
            "WARNING",
            "3.24 times",
        ),
        (
            dataclasses.replace(HEALTHY, camera=PinholeCamera(640, 480, 370.0, 370.0, 319.5, 239.5)),
            "other_ratio_of_sides",
            "WARNING",
            "stretched by 2.5",
        ),
        (
            dataclasses.replace(
                HEALTHY, parameters={"providers": ["CUDAExecutionProvider", "CPUExecutionProvider"]}
            ),
            "provider_fell_back",
            "WARNING",
            "asked for CUDAExecutionProvider",
        ),
        (dataclasses.replace(HEALTHY, lifecycle="inactive"), "node_inactive", "ERROR", f"set {NODE} activate"),
        (
            dataclasses.replace(HEALTHY, lifecycle="unconfigured", failure="configure failed: no such folder"),
            "node_unconfigured",
            "ERROR",
            "no such folder",
        ),
        (dataclasses.replace(HEALTHY, lifecycle="unknown", topics=(), status=None), "no_answer", "WARNING", "answer"),
        (dataclasses.replace(HEALTHY, status=None), "no_status", "ERROR", "images arrive"),
        (
            dataclasses.replace(HEALTHY, status=None, listeners=0, parameters={"keep_warm": False}),
            "idle",
            "NOTE",
            "nobody listens",
        ),
        (dataclasses.replace(HEALTHY, namesakes=2), "same_name_twice", "WARNING", "2 nodes"),
        (dataclasses.replace(HEALTHY, listeners=0), "nobody_listens", "NOTE", "nobody subscribes"),
        (
            dataclasses.replace(HEALTHY, model=ModelFacts("mine", problem="no such folder")),
            "model_unknown_here",
            "NOTE",
            "mine",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_what_to_do(changed, name, severity, words):
    finding = said(changed)[name]
    assert finding.severity.name == severity
    assert words in " ".join((finding.what, finding.why, finding.to_do))


@pytest.mark.parametrize(
    ("changes", "name", "severity"),
    [
        ({"mode": "PREDICTION", "reason": "points_stale"}, "points_stale", Severity.WARNING),
        ({"mode": "PREDICTION", "reason": "prediction_forced"}, "prediction_forced", Severity.NOTE),
        ({"mode": "NONE", "reason": "not_metric"}, "not_metric", Severity.ERROR),
        ({"mode": "NONE", "reason": "a_reason_of_tomorrow"}, "a_reason_of_tomorrow", Severity.ERROR),
        ({"images": 40, "dropped": 30}, "images_dropped", Severity.WARNING),
        ({"images": 40, "dropped": 1}, "images_dropped", Severity.NOTE),
    ],
)
def test_reasons_of_the_status_are_explained(changes, name, severity):
    finding = said(dataclasses.replace(HEALTHY, status=dataclasses.replace(STATUS, **changes)))[name]
    assert finding.severity is severity
    assert finding.to_do


def test_an_input_that_the_node_cannot_place_or_read_is_told_in_its_words():
    inputs = (
        InputHealth("points", False, "no_tf2_msgs: expected tf2_msgs", 30, 0, ""),
        InputHealth("odometry", True, "carries_points", 30, 4, "odometry: expected finite numbers"),
        InputHealth("scan", False, "no_scan", 0, 0, ""),
    )
    found = said(dataclasses.replace(HEALTHY, status=dataclasses.replace(STATUS, inputs=inputs)))
    assert "extrinsics.T_camera_lidar" in found["no_tf2_msgs"].to_do
    assert "4 of 30" in found["odometry_rejected"].what
    assert "no_scan" not in found


def test_extrinsics_by_parameter_need_no_tf():
    assert "no_transform" in said(HEALTHY, tf=frozenset())
    extrinsics = {"extrinsics.T_camera_lidar": [0.0] * 7, "extrinsics.T_base_camera": [0.0] * 7}
    placed = dataclasses.replace(HEALTHY, parameters={**(HEALTHY.parameters or {}), **extrinsics})
    assert "no_transform" not in said(placed, tf=frozenset())


def test_a_latched_publisher_that_is_heard_is_no_news():
    latched = PublisherFacts("/driver", "sensor_msgs/msg/Image", latched=True)
    assert list(said(with_topic(IMAGE, publishers=(latched,)))) == ["depth_comes"]


def test_simulated_time_without_a_clock_is_an_error():
    simulated = dataclasses.replace(HEALTHY, parameters={"use_sim_time": True})
    assert said(simulated)["no_clock"].severity is Severity.ERROR
    assert "no_clock" not in said(simulated, clocks=1)


def test_an_absent_optional_input_is_no_news():
    absent = dataclasses.replace(TOPICS[2], publishers=(), received=0, delay_s=None, frame_id=None)
    assert list(said(dataclasses.replace(HEALTHY, topics=(*TOPICS[:2], absent)))) == ["depth_comes"]


def test_the_worst_comes_first_and_only_errors_mean_no_depth():
    node = dataclasses.replace(with_topic(POINTS, delay_s=9.0), listeners=0)
    found = diagnose(GraphFacts(4.0, 0, (), (node,), tf_edges=TF))
    severities = [finding.severity for finding in found[NODE]]
    assert severities == sorted(severities, reverse=True) and len(severities) == 3
    assert gives_depth(found)
    assert not gives_depth(diagnose(GraphFacts(4.0, 0, (), (dataclasses.replace(node, lifecycle="inactive"),))))


def test_the_doctors_page_names_everything_that_he_can_find(repository):
    import re

    page = (repository / "docs" / "doctor.md").read_text()
    source = "".join(
        (repository / "mono_depth_ros" / "ros" / "doctor" / f"{part}.py").read_text()
        for part in ("diagnosis", "inputs")
    )
    # The name is the second argument of every finding.
    names = re.findall(r'Severity\.\w+(?: if [^\n]+)?,\n\s+f?"([a-z_{}.]+)"', source)
    names = [re.sub(r"\{[a-z.]+\}", "TOPIC", name) for name in names]
    assert len(names) > 15
    named = page.replace("node_unconfigured", "node_TOPIC")
    assert [name for name in names if f"`{name}`" not in named] == []
