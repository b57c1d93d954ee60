# SPDX-License-Identifier: Apache-2.0
"""What the doctor saw of a running graph in a few seconds; plain values, so that every diagnosis can be tested."""

from dataclasses import dataclass

from mono_depth_ros.geometry.camera import PinholeCamera

ACTIVE, INACTIVE, UNCONFIGURED, UNKNOWN = "active", "inactive", "unconfigured", "unknown"
IMAGE, CAMERA_INFO, POINTS, ODOMETRY = "image", "camera_info", "points", "odometry"


@dataclass(frozen=True, slots=True)
class PublisherFacts:
    """Who publishes a topic.

    Attributes:
        node: full name.
        type_name: such as sensor_msgs/msg/Image.
        qos_problem: why the depth node is not connected to it, in the words of the middleware; empty if it can be.
        latched: whether it keeps what it sent for those that come later, and the node does not ask for that.
    """

    node: str
    type_name: str
    qos_problem: str = ""
    latched: bool = False


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """One topic that the depth node listens to.

    Attributes:
        role: image, camera_info, points, scan, sparse_depth, range, odometry or twist.
        name: full name, after remapping.
        type_name: what the node takes.
        publishers: who publishes it.
        received: messages that the doctor heard.
        rate_hz: of those.
        delay_s: time of arrival (of the node's clock) minus stamp, the median; None without messages.
        frame_id: of the newest; None without messages.
        size_px: width and height of images and camera_info; None for others, or without messages.
        similar: other topics of this type that somebody publishes.
    """

    role: str
    name: str
    type_name: str
    publishers: tuple[PublisherFacts, ...] = ()
    received: int = 0
    rate_hz: float = 0.0
    delay_s: float | None = None
    frame_id: str | None = None
    size_px: tuple[int, int] | None = None
    similar: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InputHealth:
    """One input in the words of the node: SensorHealth.msg."""

    name: str
    used: bool
    reason: str
    received: int
    rejected: int
    last_error: str


@dataclass(frozen=True, slots=True)
class StatusSummary:
    """The node's ~/status messages.

    Attributes:
        count: heard.
        rate_hz: of them.
        mode: NONE, PREDICTION or COMPLETION, of the newest.
        reason: why, of the newest.
        metric: whether its depth is in metres.
        latency_s: median.
        images, dropped, rejected: counted by the node while the doctor listened.
        provider: ONNX Runtime execution provider that really runs.
        inputs: health of each.
    """

    count: int
    rate_hz: float
    mode: str
    reason: str
    metric: bool
    latency_s: float
    images: int
    dropped: int
    rejected: int
    provider: str
    inputs: tuple[InputHealth, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model's contract, read where the doctor runs.

    Attributes:
        name: of the model.
        width_px, height_px: of its images.
        trained_fx_px: focal length that it was trained with, at that size; None for a model that does not say.
        completes: whether it takes points.
        problem: why it cannot be opened here; empty if it can.
    """

    name: str
    width_px: int = 0
    height_px: int = 0
    trained_fx_px: float | None = None
    completes: bool = True
    problem: str = ""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One depth node, or one camera of a rig_node.

    Attributes:
        name: full name.
        lifecycle: active, inactive, unconfigured, unknown (it did not answer) or another state's name.
        namesakes: how many nodes of this name there are.
        parameters: values by name; empty if the node did not answer.
        topics: that it listens to; empty while it is not active.
        listeners: subscribers to its outputs, other than the doctor.
        status: None without a message.
        failure: why it could not be configured or activated, from /diagnostics.
        model: None if the node did not tell.
        camera: of the newest camera_info; None without a usable one.
        camera_problem: why the newest camera_info cannot be used; empty if it can.
        lens_problem: why images that are taken for rectified may be raw ones; empty if nothing says so.
        rig_camera: name of the camera; empty for a depth_node.
    """

    name: str
    lifecycle: str
    namesakes: int = 1
    parameters: dict[str, object] | None = None
    topics: tuple[TopicFacts, ...] = ()
    listeners: int = 0
    status: StatusSummary | None = None
    failure: str = ""
    model: ModelFacts | None = None
    camera: PinholeCamera | None = None
    camera_problem: str = ""
    lens_problem: str = ""
    rig_camera: str = ""

    @property
    def title(self) -> str:
        """What to call it."""
        return f"{self.name} ({self.rig_camera})" if self.rig_camera else self.name

    def parameter(self, name: str) -> object:
        """Value of a parameter; None if it is not known."""
        return (self.parameters or {}).get(name)

    def topic(self, role: str) -> TopicFacts | None:
        """The topic of a role; None if the node does not listen to one."""
        return next((topic for topic in self.topics if topic.role == role), None)


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """Everything that was seen.

    Attributes:
        seconds: how long.
        domain: ROS_DOMAIN_ID.
        other_nodes: names of all nodes that are neither depth nodes nor the doctor.
        nodes: the depth nodes.
        clock_publishers: of /clock.
        clock_received: messages on /clock.
        tf_edges: (parent, child) of every transform on /tf and /tf_static; None where the doctor cannot listen to them.
    """

    seconds: float
    domain: int
    other_nodes: tuple[str, ...] = ()
    nodes: tuple[NodeFacts, ...] = ()
    clock_publishers: int = 0
    clock_received: int = 0
    tf_edges: frozenset[tuple[str, str]] | None = frozenset()

    def connected(self, frame_a: str, frame_b: str) -> bool:
        """Whether TF can take one frame to the other.

        >>> facts = GraphFacts(1.0, 0, tf_edges=frozenset({("base_link", "lidar"), ("base_link", "camera")}))
        >>> facts.connected("camera", "lidar"), facts.connected("camera", "map")
        (True, False)
        """
        edges = self.tf_edges or frozenset()
        reached, waiting = {frame_a}, [frame_a]
        while waiting:
            frame = waiting.pop()
            near = {b for a, b in edges if a == frame} | {a for a, b in edges if b == frame}
            waiting += near - reached
            reached |= near
        return frame_b in reached
