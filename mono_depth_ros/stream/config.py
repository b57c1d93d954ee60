# SPDX-License-Identifier: Apache-2.0
"""Every parameter of depth_node: its default, range and description, nowhere else. No ROS here.

`python -m mono_depth_ros.ros.parameter_docs` writes config/depth_node.yaml and the table of docs/depth_node.md from it.
"""

import dataclasses
import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from mono_depth_ros.inference.anchoring import DEFAULT_ANCHOR_POLICY
from mono_depth_ros.inference.completion import CompletionPolicy
from mono_depth_ros.inference.engine import PRECISIONS
from mono_depth_ros.inference.ground_hint import DEFAULT_GROUND_POLICY, GroundPolicy, GroundUse
from mono_depth_ros.inference.guided_fill import DEFAULT_FILL_POLICY
from mono_depth_ros.intake.sensor_intake import IntakePolicy
from mono_depth_ros.messages.compressed_depth import DEPTH_CODECS
from mono_depth_ros.messages.image_bits import FIND_BITS
from mono_depth_ros.messages.timed_points import MIN_RANGE_M
from mono_depth_ros.perception.dial import DialPolicy, Mode
from mono_depth_ros.perception.lidar_memory import MemoryPolicy
from mono_depth_ros.perception.point_memory import POINT_SOURCES
from mono_depth_ros.perception.scale import MEASURED, ScalePolicy, ScaleSource
from mono_depth_ros.stream.cloud import CloudPolicy
from mono_depth_ros.stream.output_view import OUTPUT_SIZES

T = TypeVar("T")

# When a parameter may be set.
ANY_TIME = "takes effect with the next image"
UNCONFIGURED = "only while the node is unconfigured (ros2 lifecycle set NODE cleanup)"
AT_START = "only at the start of the node"

AUTO = "auto"
FORCED = {AUTO: None, "prediction": Mode.PREDICTION, "completion": Mode.COMPLETION}
WITHHOLD, MARK = "withhold", "mark"
IN_PREDICTION = ("publish", WITHHOLD, MARK)
_SCALE_SOURCES = tuple(source.value for source in (ScaleSource.MODEL, *MEASURED))


def _parameter(
    default: T,
    name: str,
    description: str,
    settable: str,
    limits: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
) -> T:
    """A dataclass field with everything that ROS wants to know about a parameter."""
    metadata = {
        "name": name,
        "description": description,
        "settable": settable,
        "limits": limits,
        "choices": choices,
    }
    field: T = dataclasses.field(default=default, metadata=metadata)
    return field


# fmt: off
@dataclass(frozen=True, slots=True)
class DepthNodeConfig:
    """Every parameter of depth_node and its default.

    Extrinsics are () for "look it up in TF", or x, y, z (m), qx, qy, qz, qw.
    """

    autostart: bool = _parameter(True, "autostart", "configure and activate without being told to", AT_START)
    model: str = _parameter(
        "street", "model", "name of a shipped model, or a folder with model.onnx and model.json", UNCONFIGURED,
    )
    pose_model: str = _parameter(
        "", "pose_model", "folder of the pose network that was trained with the model, for the scale by odometry; "
        "empty: motion is seen in the images", UNCONFIGURED,
    )
    providers: tuple[str, ...] = _parameter(
        ("CPUExecutionProvider",), "providers", "execution providers of ONNX Runtime, the preferred first, for example "
        "[TensorrtExecutionProvider, CUDAExecutionProvider, CPUExecutionProvider]", UNCONFIGURED,
    )
    precision: str = _parameter(
        PRECISIONS[0], "precision", "bfloat16: OpenVINO computes with eight bits of mantissa where the CPU can, "
        "which is faster; other providers compute in float32", UNCONFIGURED, choices=PRECISIONS,
    )
    intra_op_threads: int = _parameter(
        0, "intra_op_threads", "threads of ONNX Runtime; 0: one per core", UNCONFIGURED, (0, 256),
    )
    mode: str = _parameter(
        AUTO, "mode", "auto: the dial decides by the points; prediction: depth from the image, points tell the scale "
        "at most; completion: no depth without a point", ANY_TIME, choices=tuple(FORCED),
    )
    keep_warm: bool = _parameter(
        False, "keep_warm", "work although nobody listens to any output, so that memory and scale are there at once",
        ANY_TIME,
    )
    image_transport: str = _parameter(
        "raw", "image_transport", "raw: image; compressed: image/compressed (JPEG, PNG)", UNCONFIGURED,
        choices=("raw", "compressed"),
    )
    rectified: bool = _parameter(
        True, "rectified", "true: images are rectified, P of camera_info describes them; false: they are raw, K and D "
        "describe them, and they are rectified here", UNCONFIGURED,
    )
    image_bits: int = _parameter(
        FIND_BITS, "image.bits", "significant bits of 16-bit images, 8 to 16; 0: found from the images",
        UNCONFIGURED, (0, 16),
    )
    point_sources: tuple[str, ...] = _parameter(
        POINT_SOURCES, "points.sources", "topics with points to subscribe; all that come are merged",
        UNCONFIGURED, choices=POINT_SOURCES,
    )
    sparse_depth_transport: str = _parameter(
        "raw", "sparse_depth.transport", "raw: sparse_depth; compressedDepth: sparse_depth/compressedDepth",
        UNCONFIGURED, choices=("raw", "compressedDepth"),
    )
    time_field: str = _parameter(
        "", "lidar.time_field", "field of a cloud with the time of each point, where needed with its unit, as in "
        "t:us (s, ms, us or ns); empty: the first of t, time, timestamp, offset_time, time_stamp, timeStamp and stamps "
        "that is there; none: all points of a scan are simultaneous", UNCONFIGURED,
    )
    min_range_m: float = _parameter(
        MIN_RANGE_M, "lidar.min_range_m", "points of a cloud or planar scan nearer than this to their sensor are "
        "dropped: rays without a return, the robot's own body", UNCONFIGURED, (0.0, 100.0),
    )
    lidar_offset_s: float = _parameter(
        0.0, "lidar.time_offset_s", "is added to the stamps of points of every source, for a LiDAR whose clock is not "
        "the camera's", UNCONFIGURED, (-1e9, 1e9),
    )
    memory_s: float = _parameter(
        1.0, "lidar.memory_s", "scans up to this long before or after the image are carried to it by odometry; 0: the "
        "nearest only",
        ANY_TIME, (0.0, 5.0),
    )
    memory_points: int = _parameter(
        20_000, "lidar.max_points", "most points in view that are kept of all remembered scans together",
        ANY_TIME, (1, 1_000_000),
    )
    max_wait_s: float = _parameter(
        0.05, "sync.max_wait_s", "longest time that an image waits for the points of its stamp", ANY_TIME, (0.0, 1.0),
    )
    points_tolerance_s: float = _parameter(
        0.02, "sync.points_tolerance_s",
        "an image does not wait if the newest points are older than it by no more than this",
        ANY_TIME, (0.0, 1.0),
    )
    max_points_age_s: float = _parameter(
        0.25, "dial.max_points_age_s", "completion ends when the points are older, unless the memory carries them",
        ANY_TIME, (0.001, 2.0),
    )
    resume_points_age_s: float = _parameter(
        0.2, "dial.resume_points_age_s", "completion begins again when the points are no older than this",
        ANY_TIME, (0.001, 2.0),
    )
    min_points: int = _parameter(
        10, "dial.min_points", "completion ends with fewer points in view", ANY_TIME, (1, 1_000_000),
    )
    resume_points: int = _parameter(
        15, "dial.resume_points", "completion begins again with this many points in view", ANY_TIME, (1, 1_000_000),
    )
    anchor: bool = _parameter(
        True, "completion.anchor", "completed depth is made to pass through its points", ANY_TIME,
    )
    fill: bool = _parameter(
        True, "completion.fill", "completed depth is mixed with its points as spread between the edges of the image",
        ANY_TIME,
    )
    ground_use: str = _parameter(
        DEFAULT_GROUND_POLICY.use.value, "ground.use",
        "what a network that takes a ground plane is told: off: nothing; measured: what LiDAR points show, also "
        "for ground.memory_s after they dropped; mount: the same, else what the camera's mount promises",
        ANY_TIME, choices=tuple(use.value for use in GroundUse),
    )
    ground_memory_s: float = _parameter(
        DEFAULT_GROUND_POLICY.memory_s, "ground.memory_s", "how long a measured plane of the ground holds", ANY_TIME,
        (0.0, 3600.0),
    )
    scale_order: tuple[str, ...] = _parameter(
        _SCALE_SOURCES, "scale.order",
        "where the metric scale of a prediction comes from, the best source first; one that is left out is not used",
        ANY_TIME, choices=_SCALE_SOURCES,
    )
    scale_combine: str = _parameter(
        "first", "scale.combine",
        "first: the first source of the order that is there; fuse: all, weighted by inverse variance",
        ANY_TIME, choices=("first", "fuse"),
    )
    scale_max_rate: float = _parameter(
        0.1, "scale.max_rate", "largest change of the scale factor in a second; 0.1: about 10 %",
        ANY_TIME, (0.001, 10.0),
    )
    scale_max_age_s: float = _parameter(
        60.0, "scale.max_age_s", "a source that was silent for this long is not used any more", ANY_TIME, (0.1, 3600.0),
    )
    base_height_m: float = _parameter(
        0.0, "scale.base_height_m", "height of the base's frame above the ground; the camera's height follows from it",
        ANY_TIME, (-5.0, 50.0),
    )
    T_camera_lidar: tuple[float, ...] = _parameter(
        (), "extrinsics.T_camera_lidar",
        "pose of the LiDAR in the camera's optical frame: x y z (m) qx qy qz qw; empty: TF",
        UNCONFIGURED,
    )
    T_camera_scan: tuple[float, ...] = _parameter(
        (), "extrinsics.T_camera_scan", "pose of the planar scanner, likewise", UNCONFIGURED,
    )
    T_camera_range: tuple[float, ...] = _parameter(
        (), "extrinsics.T_camera_range", "pose of the range finder, likewise", UNCONFIGURED,
    )
    T_base_camera: tuple[float, ...] = _parameter(
        (), "extrinsics.T_base_camera", "pose of the camera's optical frame in the base of the odometry, likewise",
        UNCONFIGURED,
    )
    output_encoding: str = _parameter(
        "32FC1", "output.encoding", "32FC1: metres, NaN unknown; 16UC1: millimetres, 0 unknown", ANY_TIME,
        choices=("32FC1", "16UC1"),
    )
    output_size: str = _parameter(
        "image", "output.size", "of depth: image: that of the camera's image; network: the model's", ANY_TIME,
        choices=OUTPUT_SIZES,
    )
    in_prediction: str = _parameter(
        IN_PREDICTION[0], "output.in_prediction", "what becomes of depth that no point has part in: publish: published "
        "as any other; withhold: only the status is published; mark: published, and points of clouds carry sigma and "
        "mode, in COMPLETION too",
        ANY_TIME, choices=IN_PREDICTION,
    )
    compressed_depth: str = _parameter(
        DEPTH_CODECS[0], "output.compressed_depth", "codec of depth/image_rect/compressedDepth", ANY_TIME,
        choices=DEPTH_CODECS,
    )
    cloud_stride: int = _parameter(
        1, "cloud.stride", "every n-th pixel of every n-th row at the model's size becomes a point", ANY_TIME, (1, 64),
    )
    cloud_edge_filter: bool = _parameter(
        True, "cloud.edge_filter", "leave out points that float between a surface and another behind it", ANY_TIME,
    )
    cloud_max_depth_m: float = _parameter(
        60.0, "cloud.max_depth_m", "points farther than this are left out", ANY_TIME, (0.1, 10000.0),
    )
    cloud_max_height_m: float = _parameter(
        5.0, "cloud.max_height_m", "points higher than this above the ground are left out, where the camera's place in "
        "the base is known", ANY_TIME, (-100.0, 10000.0),
    )
    preview_max_depth_m: float = _parameter(
        80.0, "preview.max_depth_m", "from this depth on everything has the coldest colour", ANY_TIME, (1.0, 1000.0),
    )
    diagnostics_period_s: float = _parameter(
        1.0, "diagnostics.period_s", "time between two messages on /diagnostics", AT_START, (0.1, 60.0),
    )
    # fmt: on

    def dial_policy(self) -> DialPolicy:
        """When points are completed.

        Raises:
            ConfigError: if the limits contradict each other.
        """
        # As far back as the memory reaches, its points are completed; the hysteresis is that of the other limits.
        remembered_s = max(self.memory_s, 0.001)
        return DialPolicy(
            self.max_points_age_s,
            self.resume_points_age_s,
            self.min_points,
            self.resume_points,
            remembered_s,
            0.8 * remembered_s,
            FORCED[self.mode],
        )

    def intake_policy(self, image_topic: str) -> IntakePolicy:
        """What the messages do not say of themselves."""
        return IntakePolicy(
            rectified=self.rectified,
            time_field=self.time_field or None,
            lidar_offset_s=self.lidar_offset_s,
            min_range_m=self.min_range_m,
            image_bits=self.image_bits,
            image_topic=image_topic,
        )

    def memory_policy(self) -> MemoryPolicy | None:
        """How earlier scans are carried to an image; None for the nearest scan only."""
        return MemoryPolicy(self.memory_s, max_points=self.memory_points) if self.memory_s > 0 else None

    def scale_policy(self) -> ScalePolicy:
        """What makes predictions metric.

        Raises:
            ConfigError: if a source is named twice.
        """
        return ScalePolicy(
            order=tuple(ScaleSource(name) for name in self.scale_order),
            combine=self.scale_combine,
            max_age_s=self.scale_max_age_s,
            max_rate=self.scale_max_rate,
            base_height_m=self.base_height_m,
        )

    def ground_policy(self) -> GroundPolicy:
        """What the network is told of the ground."""
        return GroundPolicy(GroundUse(self.ground_use), self.ground_memory_s)

    def completion_policy(self) -> CompletionPolicy:
        """What is done to completed depth after the network."""
        return CompletionPolicy(
            DEFAULT_ANCHOR_POLICY if self.anchor else None, DEFAULT_FILL_POLICY if self.fill else None
        )

    def cloud_policy(self) -> CloudPolicy:
        """What becomes a point of the cloud."""
        return CloudPolicy(
            self.cloud_stride,
            self.cloud_edge_filter,
            self.cloud_max_depth_m,
            self.cloud_max_height_m,
            self.base_height_m,
            self.in_prediction == MARK,
        )

    def withholds(self, mode: Mode) -> bool:
        """Whether depth made in this mode is kept from everybody."""
        return self.in_prediction == WITHHOLD and mode is Mode.PREDICTION

    def check(self) -> None:
        """Whether the values fit to each other.

        Raises:
            ConfigError: if they do not.
        """
        self.dial_policy()
        self.memory_policy()
        self.scale_policy()


_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number with a decimal point", str: "text"}
FIELDS: dict[str, dataclasses.Field[Any]] = {
    field.metadata["name"]: field for field in dataclasses.fields(DepthNodeConfig)
}
# What ROS itself sets on a node, and what rig_node has beside these (stream/rig_config.py).
_NOT_OURS = ("use_sim_time", "start_type_description_service", "qos_overrides.", "rig.")


def problem_with(name: str, value: object) -> str:
    """What is wrong with a value of parameter ``name``; empty if nothing is."""
    field = FIELDS[name]
    limits, choices = field.metadata["limits"], field.metadata["choices"]
    got = f"got {list(value)!r}" if isinstance(value, (list, tuple)) else f"got {value!r}"
    if isinstance(field.default, tuple):
        return _problem_with_list(name, field, value, got)
    if type(value) is not type(field.default):
        return f"{name}: expected {_TYPE_NAMES[type(field.default)]}, {got}"
    if choices and value not in choices:
        return f"{name}: expected one of {', '.join(choices)}, {got}"
    if limits is not None and isinstance(value, (int, float)) and not limits[0] <= value <= limits[1]:
        return f"{name}: expected {limits[0]:g} to {limits[1]:g}, {got}"
    return ""


def problem_with_unknown(name: str) -> str:
    """What to say of a parameter that was given and that depth_node does not have; empty for those of ROS itself.

    >>> problem_with_unknown("lidar.memory")
    'lidar.memory: no such parameter; did you mean lidar.memory_s?'
    """
    if name in FIELDS or name.startswith(_NOT_OURS):
        return ""
    near = difflib.get_close_matches(name, FIELDS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "see docs/depth_node.md"
    return f"{name}: no such parameter; {hint}"


def _problem_with_list(name: str, field: dataclasses.Field[Any], value: object, got: str) -> str:
    if field.default:
        return _problem_with_names(name, field.metadata["choices"], value, got)
    numbers = list(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else None
    if numbers is not None and len(numbers) in (0, 7):
        rotation = numbers[3:]
        if all(type(number) in (int, float) and math.isfinite(number) for number in numbers) and (
            not numbers or abs(math.hypot(*rotation) - 1.0) < 0.01
        ):
            return ""
    return f"{name}: expected nothing, or x y z (m) and a unit quaternion qx qy qz qw, {got}"


def _problem_with_names(name: str, choices: tuple[str, ...], value: object, got: str) -> str:
    example = ", ".join(choices or ("CPUExecutionProvider",))
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
        if not choices or (set(value) <= set(choices) and len(set(value)) == len(value)):
            return ""
        return f"{name}: expected some of {example}, each at most once, {got}"
    return f"{name}: expected a list of names such as [{example}], {got}"
