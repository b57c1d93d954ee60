# SPDX-License-Identifier: Apache-2.0
"""From what the doctor saw to what he says: pure functions."""

from collections.abc import Iterator, Sequence

from mono_depth_ros.ros.doctor.facts import (
    ACTIVE,
    IMAGE,
    INACTIVE,
    UNCONFIGURED,
    UNKNOWN,
    GraphFacts,
    NodeFacts,
    StatusSummary,
)
from mono_depth_ros.ros.doctor.findings import INPUT_REASONS, STATUS_REASONS, Finding, Severity
from mono_depth_ros.ros.doctor.inputs import input_findings


def diagnose(graph: GraphFacts) -> dict[str, tuple[Finding, ...]]:
    """What there is to say, the worst first, by title of the node; "" when there is no depth node at all.

    >>> [finding.name for finding in diagnose(GraphFacts(3.0, 0))[""]]
    ['no_depth_node']
    """
    if not graph.nodes:
        return {"": (_no_node(graph),)}
    return {
        node.title: tuple(sorted(_of_node(node, graph), key=lambda finding: finding.severity, reverse=True))
        for node in graph.nodes
    }


def gives_depth(findings: dict[str, tuple[Finding, ...]]) -> bool:
    """Whether there is a node, and none with an error."""
    return "" not in findings and not any(
        finding.severity is Severity.ERROR for found in findings.values() for finding in found
    )


def _no_node(graph: GraphFacts) -> Finding:
    others = ", ".join(graph.other_nodes[:5]) or "none"
    return Finding(
        Severity.ERROR,
        "no_depth_node",
        f"no depth node was found in ROS domain {graph.domain}; other nodes: {others}",
        "it does not run, or the middleware does not find it",
        "start it (ros2 launch mono_depth_ros depth.launch.py), and compare ROS_DOMAIN_ID, "
        "ROS_AUTOMATIC_DISCOVERY_RANGE and RMW_IMPLEMENTATION of both terminals",
    )


def _of_node(node: NodeFacts, graph: GraphFacts) -> Iterator[Finding]:
    if node.namesakes > 1:
        yield Finding(
            Severity.WARNING,
            "same_name_twice",
            f"{node.namesakes} nodes are called {node.name}",
            "they answer for each other, and publish on the same topics",
            "give each its namespace: depth.launch.py namespace:=front",
        )
    if node.lifecycle == UNKNOWN:
        yield Finding(
            Severity.WARNING,
            "no_answer",
            f"{node.name} does not answer",
            "it is starting, or it hangs, or it ended a moment ago",
            "ask again; look at its output",
        )
    elif node.lifecycle != ACTIVE:
        yield _not_active(node)
        return
    yield from _model(node)
    yield from input_findings(node, graph)
    yield from _outcome(node)


def _not_active(node: NodeFacts) -> Finding:
    why = node.failure or "nobody told it to go on"
    steps = {UNCONFIGURED: "configure, then activate", INACTIVE: "activate"}.get(node.lifecycle, "wait")
    commands = "; ".join(f"ros2 lifecycle set {node.name} {step}" for step in steps.split(", then "))
    if node.failure:
        to_do = f"correct it, then: {commands}"
    elif steps == "wait":
        to_do = "wait, then ask again"
    else:
        to_do = f"{commands}; or start it with autostart:=true"
    return Finding(Severity.ERROR, f"node_{node.lifecycle}", f"{node.name} is {node.lifecycle}", why, to_do)


def _model(node: NodeFacts) -> Iterator[Finding]:
    wanted, status = node.parameter("providers"), node.status
    first = str(wanted[0]) if isinstance(wanted, Sequence) and not isinstance(wanted, str) and wanted else ""
    if status is not None and status.provider and first and status.provider != first:
        yield Finding(
            Severity.WARNING,
            "provider_fell_back",
            f"asked for {first}, but the model runs on {status.provider}",
            "this build of ONNX Runtime lacks the provider, or it could not start; depth is slower",
            "install onnxruntime-gpu (NVIDIA) or onnxruntime-openvino (Intel) in place of onnxruntime, never beside it",
        )
    if node.model is not None and node.model.problem:
        yield Finding(
            Severity.NOTE,
            "model_unknown_here",
            f"the contract of model {node.model.name} cannot be read here: {node.model.problem}",
            "camera and model were not compared",
        )


def _outcome(node: NodeFacts) -> Iterator[Finding]:
    """What came out, in the words of ~/status."""
    status, image = node.status, node.topic(IMAGE)
    if status is None or status.count == 0:
        if image is not None and image.received > 0:
            idle = node.listeners == 0 and node.parameter("keep_warm") is False
            yield _idle(node) if idle else _mute(node)
        return
    yield from _told(status)
    yield from _input_health(status)
    if status.dropped > 0 and status.images > 0:
        share = status.dropped / status.images
        yield Finding(
            Severity.WARNING if share > 0.2 else Severity.NOTE,
            "images_dropped",
            f"{status.dropped} of {status.images} images were overtaken by newer ones",
            f"the model needs {status.latency_s * 1e3:.0f} ms, which is slower than the camera",
            "use a GPU provider or a smaller model, raise intra_op_threads, or lower the camera's rate",
        )
    if node.listeners == 0:
        yield Finding(
            Severity.NOTE,
            "nobody_listens",
            "nobody subscribes to depth, preview or cloud",
            "",
            "if a viewer should: compare its topic names with `ros2 node info " + node.name + "`",
        )


def _told(status: StatusSummary) -> Iterator[Finding]:
    name = status.reason.split(":")[0]
    usual = Severity.ERROR if status.mode == "NONE" else Severity.WARNING
    severity, meaning, to_do = STATUS_REASONS.get(name, (usual, "", "search for it in docs/depth_node.md"))
    if status.mode == "NONE":
        error = next((health.last_error for health in status.inputs if health.name == IMAGE), "")
        what = f"no depth: {status.reason}" + (f" ({error})" if error else "")
        yield Finding(Severity.ERROR, name, what, meaning, to_do)
        return
    metric = "" if status.metric else ", not in metres"
    yield Finding(
        Severity.GOOD,
        "depth_comes",
        f"{status.mode} at {status.rate_hz:.1f} Hz on {status.provider}, {status.latency_s * 1e3:.0f} ms per image"
        f"{metric}",
        meaning if severity is Severity.GOOD else "",
    )
    if severity is not Severity.GOOD:
        yield Finding(severity, name, f"{status.mode}: {status.reason}", meaning, to_do)


def _input_health(status: StatusSummary) -> Iterator[Finding]:
    for health in status.inputs:
        meaning, to_do = INPUT_REASONS.get(health.reason.split(":")[0], ("", ""))
        if not health.used and meaning and health.received:
            yield Finding(
                Severity.WARNING, health.reason.split(":")[0], f"{health.name}: {health.reason}", meaning, to_do
            )
        if health.rejected:
            yield Finding(
                Severity.WARNING,
                f"{health.name}_rejected",
                f"{health.name}: {health.rejected} of {health.received} messages were refused",
                health.last_error,
                "correct what publishes it",
            )


def _idle(node: NodeFacts) -> Finding:
    return Finding(
        Severity.NOTE,
        "idle",
        f"images arrive, and nobody listens to any output of {node.name}",
        "without a subscriber nothing is worked out",
        "subscribe to depth/image_rect or points_dense, or set keep_warm:=true",
    )


def _mute(node: NodeFacts) -> Finding:
    return Finding(
        Severity.ERROR,
        "no_status",
        f"images arrive, and {node.name} says nothing about them",
        "it is still busy with the first ones, the images do not reach it, or its worker hangs",
        "look at /diagnostics and at its output; compare the large-message profiles of both sides",
    )
