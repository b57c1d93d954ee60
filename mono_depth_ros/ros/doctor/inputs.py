# SPDX-License-Identifier: Apache-2.0
"""The doctor's look at the inputs of one active node: who publishes, what connects, stamps, frames, calibration."""

from collections.abc import Iterator

from mono_depth_ros.ros.doctor.facts import (
    CAMERA_INFO,
    IMAGE,
    ODOMETRY,
    GraphFacts,
    NodeFacts,
    TopicFacts,
)
from mono_depth_ros.ros.doctor.findings import Finding, Severity

# Without these there is no depth; without the others it is only not as good as it could be.
_NEEDED = (IMAGE, CAMERA_INFO)
# Stamps of two sensors this far apart do not belong together, whatever the transport does.
_APART_S = 0.5
# A camera whose focal length is this many times that of the training is outside what the network has seen.
_FOCAL_RATIO = 2.0


def input_findings(node: NodeFacts, graph: GraphFacts) -> Iterator[Finding]:
    """Everything about the topics of an active node."""
    for topic in node.topics:
        yield from _connection(topic)
    yield from _stamps(node, graph)
    yield from _frames(node, graph)
    yield from _calibration(node)
    yield from _intrinsics(node)


def _bad(role: str) -> Severity:
    return Severity.ERROR if role in _NEEDED else Severity.WARNING


def _connection(topic: TopicFacts) -> Iterator[Finding]:
    """Whether messages can come, and whether they do."""
    without = "there is no depth without it" if topic.role in _NEEDED else "depth is made without it"
    if not topic.publishers:
        # Most robots have one source of points; the others being absent is no news, unless it goes by another name.
        if topic.role in _NEEDED or (topic.similar and topic.role != "sparse_depth"):
            hint = f"; of this type there are: {', '.join(topic.similar)}" if topic.similar else ""
            severity = Severity.ERROR if topic.role in _NEEDED else Severity.NOTE
            remap = f"{topic.role}:={topic.similar[0]}" if topic.similar else f"{topic.role}:=/its/topic"
            yield Finding(
                severity,
                f"no_publisher_of_{topic.role}",
                f"nobody publishes {topic.name} ({topic.type_name}){hint}",
                without,
                f"start the driver, or remap: {remap}",
            )
        return
    wrong_type = [publisher for publisher in topic.publishers if publisher.type_name != topic.type_name]
    if wrong_type:
        publisher = wrong_type[0]
        yield Finding(
            _bad(topic.role),
            "type_mismatch",
            f"{publisher.node} publishes {topic.name} as {publisher.type_name}, the node takes {topic.type_name}",
            f"the middleware connects equal types only; {without}",
            "remap to another topic; for compressed images set image_transport to compressed",
        )
    mismatched = [publisher for publisher in topic.publishers if publisher.qos_problem]
    for publisher in mismatched:
        policy = "durability" if "urability" in publisher.qos_problem else "reliability"
        yield Finding(
            _bad(topic.role),
            "qos_mismatch",
            f"{publisher.node} publishes {topic.name} with a quality of service that the node is not connected to: "
            f"{publisher.qos_problem}",
            f"nothing arrives from it; {without}",
            f"ask for less: -p qos_overrides.{topic.name}.subscription.{policy}:="
            f"{'volatile' if policy == 'durability' else 'best_effort'}",
        )
    latched = [publisher for publisher in topic.publishers if publisher.latched]
    if topic.received == 0 and latched:
        yield Finding(
            _bad(topic.role),
            "latched_missed",
            f"{latched[0].node} publishes {topic.name} latched (transient local), and the node asks for volatile",
            f"what was sent before the node came does not arrive; {without}",
            f"ask for it: -p qos_overrides.{topic.name}.subscription.durability:=transient_local "
            f"-p qos_overrides.{topic.name}.subscription.reliability:=reliable",
        )
    elif topic.received == 0 and len(wrong_type) + len(mismatched) < len(topic.publishers):
        yield Finding(
            _bad(topic.role),
            f"{topic.role}_silent",
            f"{topic.name} has a publisher ({topic.publishers[0].node}), and no message came",
            without,
            "look at the driver; for large messages see config/fastdds_large_messages.xml",
        )


def _stamps(node: NodeFacts, graph: GraphFacts) -> Iterator[Finding]:
    """Whether the clocks of the sensors agree with each other, and with the node's."""
    simulated = node.parameter("use_sim_time") is True
    if simulated and graph.clock_publishers == 0:
        yield Finding(
            Severity.ERROR,
            "no_clock",
            "use_sim_time is true and nobody publishes /clock",
            "the node's time stands still: transforms are never found and points never age",
            "play the bag with --clock, start the simulator, or set use_sim_time:=false",
        )
    elif simulated and graph.clock_received == 0:
        yield Finding(
            Severity.WARNING,
            "clock_paused",
            "use_sim_time is true and /clock says nothing",
            "time stands still while the bag or the simulator is paused",
            "resume it",
        )
    image = node.topic(IMAGE)
    if image is None or image.delay_s is None:
        return
    for topic in node.topics:
        if topic.delay_s is None or topic.role in (IMAGE, CAMERA_INFO):
            continue
        behind_s = topic.delay_s - image.delay_s
        if abs(behind_s) > _APART_S:
            yield Finding(
                Severity.WARNING,
                "stamps_apart",
                f"stamps of {topic.name} are {abs(behind_s):.1f} s {'behind' if behind_s > 0 else 'ahead of'} those of "
                f"{image.name}, although both arrive now",
                "what is stamped at another time does not belong to the image, and is not used",
                "let the drivers use one clock (PTP, chrony), and stamp when they measure",
            )
    clockless = simulated and graph.clock_received == 0
    if not clockless and abs(image.delay_s) > _APART_S:
        behind = "behind" if image.delay_s > 0 else "ahead of"
        yield Finding(
            Severity.WARNING if simulated or abs(image.delay_s) < 3600 else Severity.NOTE,
            "stamps_off_clock",
            f"stamps of {image.name} are {_duration(abs(image.delay_s))} {behind} the "
            f"{'/clock' if simulated else 'system clock'}",
            "depth keeps the image's stamp, so that whoever compares it with the time sees it as old",
            "" if simulated else "if this is a bag or a simulator: play it with --clock, and set use_sim_time:=true",
        )


def _duration(seconds: float) -> str:
    if seconds < 3600:
        return f"{seconds:.1f} s"
    return f"{seconds / 3600:.0f} h" if seconds < 3600 * 48 else f"{seconds / 86400:.0f} days"


def _frames(node: NodeFacts, graph: GraphFacts) -> Iterator[Finding]:
    """Whether frames are named, fit, and are connected in TF where parameters do not place the sensors."""
    image, info = node.topic(IMAGE), node.topic(CAMERA_INFO)
    for topic in node.topics:
        if topic.frame_id == "" and topic.role not in (CAMERA_INFO, "sparse_depth"):
            yield Finding(
                _bad(topic.role) if topic.role != IMAGE else Severity.WARNING,
                "no_frame_id",
                f"{topic.name} has an empty frame_id",
                "nobody can tell where it was measured",
                "set the frame_id of its driver",
            )
    camera_frame = image.frame_id if image is not None else None
    if camera_frame and info is not None and info.frame_id and info.frame_id != camera_frame:
        yield Finding(
            Severity.WARNING,
            "frames_differ",
            f"{image.name if image else IMAGE} is in frame {camera_frame!r}, {info.name} in {info.frame_id!r}",
            "they may belong to two cameras; the image's frame is taken",
            "check the remappings of image and camera_info",
        )
    if not camera_frame or graph.tf_edges is None:
        return
    for topic in node.topics:
        given = _placed_by_parameter(topic.role)
        if not topic.frame_id or not given or node.parameter(given) or topic.frame_id == camera_frame:
            continue
        # Odometry moves its child frame, the base; the collector gives that as its frame.
        if not graph.connected(camera_frame, topic.frame_id):
            known = "TF has no frame at all" if not graph.tf_edges else f"TF knows {_some(graph)}"
            yield Finding(
                Severity.WARNING,
                "no_transform",
                f"TF does not connect {topic.frame_id!r} ({topic.name}) with {camera_frame!r} ({IMAGE}); {known}",
                "points are not used" if topic.role != ODOMETRY else "points are not carried by odometry",
                f"publish it on /tf_static (robot_state_publisher, static_transform_publisher), or set {given}",
            )


def _some(graph: GraphFacts) -> str:
    frames = sorted({frame for edge in graph.tf_edges or () for frame in edge})
    return ", ".join(frames[:6]) + (f" and {len(frames) - 6} more" if len(frames) > 6 else "")


def _placed_by_parameter(role: str) -> str:
    """The parameter that takes the place of TF; empty for what needs no place."""
    return {
        "points": "extrinsics.T_camera_lidar",
        "scan": "extrinsics.T_camera_scan",
        "range": "extrinsics.T_camera_range",
        ODOMETRY: "extrinsics.T_base_camera",
        "twist": "extrinsics.T_base_camera",
    }.get(role, "")


def _calibration(node: NodeFacts) -> Iterator[Finding]:
    image, info = node.topic(IMAGE), node.topic(CAMERA_INFO)
    if node.camera_problem and info is not None:
        yield Finding(
            Severity.ERROR,
            "camera_info_unusable",
            f"{info.name} cannot be used: {node.camera_problem}",
            "without intrinsics no pixel has a direction",
            "calibrate the camera (camera_calibration), or give the driver the URL of its calibration",
        )
    if node.lens_problem:
        yield Finding(
            Severity.WARNING,
            "not_rectified",
            node.lens_problem,
            "if they are raw, depth is bent and points do not fall on their pixels",
            "set rectified:=false, or remap image to the rectified images of image_proc",
        )
    if image is None or info is None or not image.size_px or not info.size_px:
        return
    if image.size_px != info.size_px:
        yield Finding(
            Severity.ERROR,
            "image_size_differs",
            f"{image.name} is {image.size_px[0]}x{image.size_px[1]}, {info.name} says {info.size_px[0]}x"
            f"{info.size_px[1]}",
            "the intrinsics are of another image",
            "take both from the same side of a resizing or debayering node",
        )


def _intrinsics(node: NodeFacts) -> Iterator[Finding]:
    """Whether the model has seen cameras like this one."""
    model, camera = node.model, node.camera
    if model is None or camera is None or model.trained_fx_px is None or model.width_px == 0:
        return
    seen = camera.resized(model.width_px, model.height_px)
    ratio = seen.fx_px / model.trained_fx_px
    if not 1.0 / _FOCAL_RATIO <= ratio <= _FOCAL_RATIO:
        yield Finding(
            Severity.WARNING,
            "other_intrinsics",
            f"model {model.name} was trained with a focal length of {model.trained_fx_px:.0f} px at {model.width_px}x"
            f"{model.height_px}; this camera has {seen.fx_px:.0f} px there, {ratio:.2f} times as much",
            "depth is corrected for it, but the network has not seen the world at this size",
            "crop or choose a lens nearer to the training, or train with this camera (mono-depth train)",
        )
    stretch = (camera.width_px / camera.height_px) / (model.width_px / model.height_px)
    if not 1 / 1.5 <= stretch <= 1.5:
        yield Finding(
            Severity.WARNING,
            "other_ratio_of_sides",
            f"images are {camera.width_px}x{camera.height_px}, model {model.name} wants {model.width_px}x"
            f"{model.height_px}: they are stretched by {max(stretch, 1 / stretch):.1f}",
            "the network has not seen things so wide or so high",
            "crop the images (with their camera_info) to the model's ratio of sides, or train for this one",
        )
