# SPDX-License-Identifier: Apache-2.0
"""Looks at a running graph for the doctor: listens to what the depth nodes listen to, and asks them."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node, NodeNameNonExistentError
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import DurabilityPolicy, QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rosgraph_msgs.msg import Clock

from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.msg import DepthStatus
from mono_depth_ros.ros.doctor.facts import (
    IMAGE,
    UNKNOWN,
    GraphFacts,
    NodeFacts,
    PublisherFacts,
)
from mono_depth_ros.ros.doctor.patient import (
    TYPES,
    HeardTopic,
    Patient,
    camera_of,
    lens_problem,
    model_facts,
    of_another_camera,
    status_facts,
)

_NAME = "mono_depth_doctor"
# A lifecycle node with these parameters is one of ours.
_ASKED = (
    "model", "providers", "use_sim_time", "rectified", "mode", "image_transport", "keep_warm",
    "extrinsics.T_camera_lidar", "extrinsics.T_camera_scan", "extrinsics.T_camera_range", "extrinsics.T_base_camera",
)  # fmt: skip


class DoctorCollector:
    """Listens for a few seconds, then tells.

    Args:
        context: of rclpy; None for the default one.
        only: full name of the node to look at; None for all depth nodes.
    """

    def __init__(self, context: Context | None = None, only: str | None = None) -> None:
        self._node = Node(_NAME, context=context, enable_rosout=False, start_parameter_services=False)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)
        self._only = only
        self._failures: dict[str, str] = {}
        self._tf_edges: set[tuple[str, str]] = set()
        self._clock_ns: int | None = None
        self._clocks = 0
        latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        best_effort = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
        node = self._node
        self._tf_heard = True
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            self._tf_heard = False  # ROS 2 from Python wheels; the node has no TF there either
        else:
            node.create_subscription(TFMessage, "/tf_static", self._hear_tf, latched)
            node.create_subscription(TFMessage, "/tf", self._hear_tf, best_effort)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._hear_diagnostics, 20)
        node.create_subscription(Clock, "/clock", self._hear_clock, best_effort)

    def look(self, seconds: float, discovery_s: float = 1.0) -> GraphFacts:
        """Finds the nodes, listens for ``seconds``, and returns what was seen."""
        patients = [patient for name in self._settled(seconds, discovery_s) for patient in self._examine(name)]
        for patient in patients:
            self._listen(patient)
        started_s = time.monotonic()
        self._spin(seconds)
        elapsed_s = time.monotonic() - started_s
        return self._facts(patients, elapsed_s)

    def close(self) -> None:
        """Ends the doctor's node."""
        self._executor.shutdown(timeout_sec=2.0)
        self._node.destroy_node()

    def _spin(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        end_s = time.monotonic() + seconds
        while not until() and (left_s := end_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=min(left_s, 0.1))

    def _settled(self, seconds: float, discovery_s: float) -> list[str]:
        """The candidates, once there are some and no other has been found for a while.

        Discovery takes its time on a busy machine, and finds one node after another.
        """
        end_s = time.monotonic() + seconds + discovery_s
        known: list[str] = []
        while time.monotonic() < end_s:
            self._spin(discovery_s, lambda known=known: self._candidates() != known)  # type: ignore[misc]
            found = self._candidates()
            if found and found == known:
                break
            known = found
        return known

    def _candidates(self) -> list[str]:
        """Nodes with a lifecycle, or the one that was asked for."""
        found = {
            name.rsplit("/", 1)[0]
            for name, types in self._node.get_service_names_and_types()
            if name.endswith("/get_state") and "lifecycle_msgs/srv/GetState" in types
        }
        if self._only is not None:
            return [self._only] if self._only in found else []
        return sorted(found)

    def _examine(self, name: str) -> list[Patient]:
        """The node, if it is one of ours; each camera of a rig."""
        got = self._parameters(name, _ASKED)
        parameters = got or {}
        if got is not None and not {"model", "providers"} <= set(parameters):
            return []
        if got is None and self._only is None and self._node.count_publishers(f"{name}/status") == 0:
            return []
        state = self._ask(GetState, f"{name}/get_state", GetState.Request())
        lifecycle = UNKNOWN if state is None else str(state.current_state.label)
        parameters |= self._parameters(name, ("rig.cameras",)) or {}
        cameras = parameters.get("rig.cameras")
        if not isinstance(cameras, Sequence) or not all(cameras):
            return [Patient(name, lifecycle, parameters)]
        return [Patient(name, lifecycle, self._of_camera(name, camera, parameters), camera) for camera in cameras]

    def _of_camera(self, name: str, camera: str, parameters: dict[str, object]) -> dict[str, object]:
        """The parameters of a rig, with the places that they give under the names that a depth_node has for them."""
        places = self._parameters(name, ("rig.T_base_lidar", f"rig.T_base_camera.{camera}")) or {}
        given = {
            "extrinsics.T_camera_lidar": places.get("rig.T_base_lidar"),
            "extrinsics.T_base_camera": places.get(f"rig.T_base_camera.{camera}"),
        }
        return parameters | {key: value for key, value in given.items() if value}

    def _parameters(self, name: str, asked: Sequence[str]) -> dict[str, object] | None:
        """Those that the node has; None without an answer."""
        got = self._ask(GetParameters, f"{name}/get_parameters", GetParameters.Request(names=list(asked)))
        if got is None:
            return None
        if not got.values and len(asked) > 1:
            # A node answers nothing at all when one of them is unknown to it.
            return {key: value for one in asked for key, value in (self._parameters(name, (one,)) or {}).items()}
        values = dict(zip(asked, map(parameter_value_to_python, got.values), strict=False))
        return {key: value for key, value in values.items() if value is not None}

    def _ask(self, service_type: Any, name: str, request: Any, timeout_s: float = 2.0) -> Any:
        """The answer of a service, None without one."""
        client = self._node.create_client(service_type, name)
        try:
            self._spin(timeout_s, client.service_is_ready)
            if not client.service_is_ready():
                return None
            future = client.call_async(request)
            self._spin(timeout_s, future.done)
            return future.result() if future.done() else None
        finally:
            self._node.destroy_client(client)

    def _listen(self, patient: Patient) -> None:
        """To what the node listens to, and to what it says."""
        base, namespace = _split(patient.name)
        simulated = patient.parameters.get("use_sim_time") is True
        # Names of cameras come before anything that goes by the name of sparse depth.
        # Names of nodes may be found later than their services.
        self._spin(2.0, lambda: patient.name in self._names())
        try:
            subscribed = self._node.get_subscriber_names_and_types_by_node(base, namespace)
        except NodeNameNonExistentError:  # it ended a moment ago
            patient.lifecycle, subscribed = UNKNOWN, []
        for name, types in sorted(subscribed, key=lambda item: "sparse" in item[0]):
            type_name = types[0]
            if type_name not in TYPES or of_another_camera(name, patient):
                continue
            role = TYPES[type_name][0]
            if role == IMAGE and any(heard.role == IMAGE for heard in patient.topics):
                role = "sparse_depth"
            now_ns = self._simulated_ns if simulated else time.time_ns
            patient.topics.append(HeardTopic(self._node, role, name, type_name, now_ns))
        status = f"{patient.name}/{patient.camera}/status" if patient.camera else f"{patient.name}/status"
        self._node.create_subscription(DepthStatus, status, patient.statuses.append, 50)

    def _simulated_ns(self) -> int | None:
        return self._clock_ns

    def _facts(self, patients: Sequence[Patient], seconds: float) -> GraphFacts:
        names = self._names()
        ours = {patient.name for patient in patients}
        return GraphFacts(
            seconds=seconds,
            domain=int(self._node.context.get_domain_id()),
            other_nodes=tuple(sorted({name for name in names if name not in ours and not name.endswith(_NAME)})),
            nodes=tuple(self._node_facts(patient, names.count(patient.name), seconds) for patient in patients),
            clock_publishers=self._node.count_publishers("/clock"),
            clock_received=self._clocks,
            tf_edges=frozenset(self._tf_edges) if self._tf_heard else None,
        )

    def _names(self) -> list[str]:
        """Full names of all nodes."""
        return [_join(name, namespace) for name, namespace in self._node.get_node_names_and_namespaces()]

    def _node_facts(self, patient: Patient, namesakes: int, seconds: float) -> NodeFacts:
        camera, problem = camera_of(patient)
        return NodeFacts(
            name=patient.name,
            lifecycle=patient.lifecycle,
            namesakes=max(1, namesakes),
            parameters=patient.parameters or None,
            topics=tuple(
                heard.facts(self._publishers(patient, heard), self._similar(heard), seconds) for heard in patient.topics
            ),
            listeners=self._listeners(patient),
            status=status_facts(patient.statuses, seconds),
            failure=self._failures.get(patient.name.lstrip("/"), ""),
            model=model_facts(patient.parameters),
            camera=camera,
            camera_problem=problem,
            lens_problem=lens_problem(patient),
            rig_camera=patient.camera,
        )

    def _publishers(self, patient: Patient, heard: HeardTopic) -> list[PublisherFacts]:
        ours = [
            info
            for info in self._node.get_subscriptions_info_by_topic(heard.name)
            if _join(info.node_name, info.node_namespace) == patient.name
        ]
        return [
            PublisherFacts(
                _join(info.node_name, info.node_namespace),
                info.topic_type,
                # The node may ask twice, once for what was sent before it came; one connection is enough.
                min((_qos_problem(info, own) for own in ours), key=len, default=""),
                bool(ours) and _keeps_its_last(info) and not any(_keeps_its_last(own) for own in ours),
            )
            for info in self._node.get_publishers_info_by_topic(heard.name)
        ]

    def _similar(self, heard: HeardTopic) -> list[str]:
        """Other topics of this type with a publisher, the nearest names first; without depth nodes' own outputs."""
        last = heard.name.rsplit("/", 1)[-1]
        found = [
            name
            for name, types in self._node.get_topic_names_and_types()
            if heard.type_name in types
            and name != heard.name
            and not name.endswith(
                ("depth/image_rect", "depth/preview", "points_dense", "depth/camera_info", "depth/sigma")
            )
            and self._node.count_publishers(name) > 0
        ]
        return sorted(found, key=lambda name: (last not in name, name))[:4]

    def _listeners(self, patient: Patient) -> int:
        """Subscribers of the node's outputs, without the doctor."""
        base, namespace = _split(patient.name)
        try:
            published = self._node.get_publisher_names_and_types_by_node(base, namespace)
        except NodeNameNonExistentError:
            return 0
        return sum(
            info.node_name != _NAME
            for name, types in published
            if name.endswith(("depth/image_rect", "depth/preview", "depth/sigma", "points_dense"))
            for info in self._node.get_subscriptions_info_by_topic(name)
        )

    def _hear_tf(self, message: Any) -> None:
        for transform in message.transforms:
            self._tf_edges.add((transform.header.frame_id.lstrip("/"), transform.child_frame_id.lstrip("/")))

    def _hear_clock(self, message: Clock) -> None:
        self._clock_ns = stamp_ns_of(message.clock)
        self._clocks += 1

    def _hear_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            node, _, line = status.name.partition(": ")
            if line == "node":
                self._failures[node] = status.message if status.level == DiagnosticStatus.ERROR else ""


def _qos_problem(publisher: TopicEndpointInfo, subscription: TopicEndpointInfo) -> str:
    compatible, reason = qos_check_compatible(publisher.qos_profile, subscription.qos_profile)
    return str(reason).removeprefix("ERROR: ").rstrip("; ") if compatible == QoSCompatibility.ERROR else ""


def _keeps_its_last(end: TopicEndpointInfo) -> bool:
    return bool(end.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL)


def _split(full_name: str) -> tuple[str, str]:
    namespace, _, base = full_name.rpartition("/")
    return base, namespace or "/"


def _join(name: str, namespace: str) -> str:
    return f"{namespace.rstrip('/')}/{name}"
