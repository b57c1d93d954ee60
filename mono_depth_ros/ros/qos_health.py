# SPDX-License-Identifier: Apache-2.0
"""What the middleware says about the inputs, counted: publishers we cannot hear, messages lost, deadlines missed."""

from dataclasses import replace

from rclpy.event_handler import QoSMessageLostInfo, QoSRequestedDeadlineMissedInfo, QoSRequestedIncompatibleQoSInfo
from rclpy.qos import qos_policy_name_from_kind

from mono_depth_ros.messages.outputs import NO_EVENTS, QosCounts
from mono_depth_ros.stream.problem_log import ProblemLog


class QosHealth:
    """Counts events by input. One thread writes, others may read.

    Args:
        problems: is told of every event.
    """

    def __init__(self, problems: ProblemLog) -> None:
        self._problems = problems
        self._counts: dict[str, QosCounts] = {}

    def counts(self, sensor: str) -> QosCounts:
        """Of one input."""
        return self._counts.get(sensor, NO_EVENTS)

    def incompatible(self, sensor: str, topic: str, event: QoSRequestedIncompatibleQoSInfo) -> None:
        """A publisher that we hear nothing from."""
        counts = self.counts(sensor)
        self._counts[sensor] = replace(counts, incompatible=counts.incompatible + event.total_count_change)
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        self._problems.report(
            sensor,
            f"incompatible_qos: a publisher of {topic} offers another {policy} than we ask for, nothing comes from it; "
            f"set qos_overrides.{topic}.subscription.{str(policy).split('_', 1)[0].lower()}",
        )

    def lost(self, sensor: str, topic: str, event: QoSMessageLostInfo) -> None:
        """Messages that were sent and did not arrive."""
        counts = self.counts(sensor)
        self._counts[sensor] = replace(counts, lost=counts.lost + event.total_count_change)
        self._problems.report(
            sensor,
            f"message_lost: the middleware lost {event.total_count} messages of {topic} so far; for large messages use "
            "config/fastdds_large_messages.xml on the publisher's side, or make this subscription reliable",
        )

    def deadline_missed(self, sensor: str, topic: str, event: QoSRequestedDeadlineMissedInfo) -> None:
        """No message within the deadline that was set for the subscription."""
        counts = self.counts(sensor)
        self._counts[sensor] = replace(counts, deadlines_missed=counts.deadlines_missed + event.total_count_change)
        self._problems.report(
            sensor, f"deadline_missed: {topic} was later than its deadline {event.total_count} times so far"
        )
