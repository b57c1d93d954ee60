# SPDX-License-Identifier: Apache-2.0
"""/diagnostics: a line for the node, for every input, for the calibration and for the depth."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from mono_depth_ros.messages.outputs import NO_EVENTS, NO_IMAGES, ImageCounts, QosCounts
from mono_depth_ros.perception.dial import Mode, Reason
from mono_depth_ros.perception.point_memory import POINT_SOURCES
from mono_depth_ros.perception.snapshot import SensorReport, SensorState

# Depth cannot be made without these; the absence of the others is a fact and not a fault.
_NEEDED = ("image", "camera_info")
# A prediction for these reasons is what was asked for, although there are points.
_CHOSEN = (Reason.PREDICTION_FORCED.value, Reason.MODEL_PREDICTS_ONLY.value)


@dataclass(frozen=True, slots=True, eq=False)
class NodeHealth:
    """What the node knows about itself now.

    Attributes:
        lifecycle: name of its lifecycle state.
        failure: why it could not be configured or activated; empty if it could.
        reports: health of every input at the latest image.
        images_silent_s: time since the latest image arrived; None before the first.
        counts: what became of the images.
        mode, reason: of the latest image; empty before the first.
        model_name, provider, provider_note: what runs, and why not what was asked for.
        transform_problems: what TF or the parameters do not say, or say anew.
        transform_changes: places of sensors that changed since the start.
        last_transform_change: in words.
        unknown_parameters: what is wrong with names that were given and do not exist.
        calibration_reason: why the calibration is suspect; empty if it is not.
        qos: events of every input.
    """

    lifecycle: str
    failure: str
    reports: tuple[SensorReport, ...] = ()
    images_silent_s: float | None = None
    counts: ImageCounts = NO_IMAGES
    mode: str = ""
    reason: str = ""
    model_name: str = ""
    provider: str = ""
    provider_note: str = ""
    transform_problems: tuple[str, ...] = ()
    transform_changes: int = 0
    last_transform_change: str = ""
    unknown_parameters: tuple[str, ...] = ()
    calibration_reason: str = ""
    qos: Mapping[str, QosCounts] = field(default_factory=dict)


class Diagnostics:
    """Makes the messages, and remembers what was counted at the one before.

    They are published as they are, not by way of diagnostic_updater: its tasks stay as they were last seen when a node
    is cleaned up, and its names know nothing of the cameras of a rig.

    Args:
        node_name: full name of the node; the first part of every line's name, and its hardware_id.
        silence_s: an image topic is reported silent after this long.
    """

    def __init__(self, node_name: str, silence_s: float = 2.0) -> None:
        self._node_name = node_name.lstrip("/")
        self._silence_s = silence_s
        self._rejected: dict[str, int] = {}
        self._lost: dict[str, int] = {}
        self._changes = 0
        self._counts = NO_IMAGES
        self._known: set[str] = set()

    def message(self, health: NodeHealth) -> DiagnosticArray:
        """The node, every input, the calibration and the depth; the caller stamps it.

        While the node is not active, all lines but its own are stale: nobody shall take the last word for the present.
        """
        lines = [self._node_line(health)]
        if health.lifecycle == "active":
            lines += [self._input_line(report, health) for report in health.reports]
            if health.reports:
                lines.append(self._calibration_line(health))
            lines.append(self._depth_line(health))
            self._known |= {line.name for line in lines[1:]}
        else:
            names = [name.partition(": ")[2] for name in sorted(self._known)]
            lines += [self._line(name, DiagnosticStatus.STALE, f"the node is {health.lifecycle}", {}) for name in names]
        self._rejected = {report.name: report.rejected for report in health.reports}
        self._lost = {name: counts.lost for name, counts in health.qos.items()}
        self._changes, self._counts = health.transform_changes, health.counts
        return DiagnosticArray(status=lines)

    def _line(self, name: str, level: bytes, message: str, values: dict[str, object]) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=level,
            name=f"{self._node_name}: {name}",
            message=message,
            hardware_id=self._node_name,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )

    def _node_line(self, health: NodeHealth) -> DiagnosticStatus:
        values: dict[str, object] = {
            "lifecycle": health.lifecycle,
            "model": health.model_name,
            "provider": health.provider,
        }
        if health.failure:
            return self._line("node", DiagnosticStatus.ERROR, health.failure, values)
        changed = health.last_transform_change if health.transform_changes > self._changes else ""
        parts = (health.provider_note, *health.transform_problems, changed, *health.unknown_parameters)
        message = "; ".join(dict.fromkeys(part for part in parts if part))
        if message:
            return self._line("node", DiagnosticStatus.WARN, message, values)
        return self._line("node", DiagnosticStatus.OK, health.lifecycle, values)

    def _input_line(self, report: SensorReport, health: NodeHealth) -> DiagnosticStatus:
        silent_s = self._silent_s(health)
        age_s = None if report.age_s is None else report.age_s + (silent_s or 0.0)
        qos = health.qos.get(report.name, NO_EVENTS)
        values: dict[str, object] = {
            "rate_hz": f"{report.rate_hz:.2f}",
            "jitter_s": f"{report.jitter_s:.4f}",
            "age_s": "unknown" if age_s is None else f"{age_s:.3f}",
            "used": report.used,
            "used_share": f"{report.used_share:.2f}",
            "reason": report.reason,
            "received": report.received,
            "rejected": report.rejected,
            "last_error": report.last_error,
            "lost": qos.lost,
            "deadlines_missed": qos.deadlines_missed,
            "incompatible_qos": qos.incompatible,
        }
        level, message = _level_of(report), f"{report.state.value}: {report.reason}"
        if silent_s is not None and report.name == "image":
            level, message = DiagnosticStatus.WARN, f"stale: no image for {silent_s:.1f} s"
        elif silent_s is not None:  # inputs are judged at images
            level, message = DiagnosticStatus.STALE, f"{message}, as of the latest image, {silent_s:.1f} s ago"
        newly_rejected = report.rejected - self._rejected.get(report.name, 0)
        if newly_rejected > 0 and level == DiagnosticStatus.OK:
            level, message = DiagnosticStatus.WARN, f"{newly_rejected} rejected: {report.last_error}"
        newly_lost = qos.lost - self._lost.get(report.name, 0)
        if newly_lost > 0 and level == DiagnosticStatus.OK:
            level, message = DiagnosticStatus.WARN, f"message_lost: the middleware lost {newly_lost} messages"
        if qos.incompatible and report.state is not SensorState.OK:
            level = DiagnosticStatus.WARN
            message = f"incompatible_qos: {qos.incompatible} publishers cannot be heard; see the log"
        return self._line(report.name, level, message, values)

    def _silent_s(self, health: NodeHealth) -> float | None:
        """How long there was no image; None while there are some, and before the first."""
        silent_s = health.images_silent_s
        return silent_s if silent_s is not None and silent_s > self._silence_s else None

    def _calibration_line(self, health: NodeHealth) -> DiagnosticStatus:
        level = DiagnosticStatus.WARN if health.calibration_reason else DiagnosticStatus.OK
        message = f"calibration_suspect: {health.calibration_reason}" if health.calibration_reason else "unsuspected"
        return self._line("calibration", level, message, {"transform_changes": health.transform_changes})

    def _depth_line(self, health: NodeHealth) -> DiagnosticStatus:
        counts = health.counts
        values: dict[str, object] = {
            "mode": health.mode,
            "reason": health.reason,
            "images_received": counts.received,
            "images_processed": counts.processed,
            "images_dropped": counts.dropped,
            "images_rejected": counts.rejected,
            "images_idle": counts.idle,
        }
        dropped = counts.dropped - self._counts.dropped
        received = counts.received - self._counts.received
        if (silent_s := self._silent_s(health)) is not None:
            return self._line("depth", DiagnosticStatus.WARN, f"no depth: no image for {silent_s:.1f} s", values)
        if health.mode == "NONE":
            return self._line("depth", DiagnosticStatus.ERROR, f"no depth: {health.reason}", values)
        had_points = any(report.name in POINT_SOURCES and report.received for report in health.reports)
        if health.mode == Mode.PREDICTION.name and had_points and health.reason not in _CHOSEN:
            return self._line("depth", DiagnosticStatus.WARN, f"fallen back to PREDICTION: {health.reason}", values)
        if dropped > 0:
            message = f"{dropped} of {received} images dropped: the model is slower than the camera"
            return self._line("depth", DiagnosticStatus.WARN, message, values)
        if counts.idle > self._counts.idle:
            return self._line("depth", DiagnosticStatus.OK, "idle: nobody listens to any output", values)
        message = f"{health.mode}: {health.reason}" if health.mode else "no image yet"
        return self._line("depth", DiagnosticStatus.OK, message, values)


def _level_of(report: SensorReport) -> bytes:
    if report.state is SensorState.OK:
        return bytes(DiagnosticStatus.OK)
    if report.state is SensorState.ABSENT:
        return bytes(DiagnosticStatus.WARN if report.name in _NEEDED else DiagnosticStatus.OK)
    return bytes(DiagnosticStatus.WARN if report.state is SensorState.STALE else DiagnosticStatus.ERROR)
