# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag belong to one camera."""

from collections.abc import Mapping
from dataclasses import dataclass

from mono_depth_ros.errors import DataError

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
POINT_CLOUD = "sensor_msgs/msg/PointCloud2"
ODOMETRY = "nav_msgs/msg/Odometry"
TRANSFORMS = "tf2_msgs/msg/TFMessage"

# What to say in place of a topic to go without that sensor.
NO_TOPIC = "none"

# Topics below this hold what no sensor knows; they have to be named to be used.
TRUTH_NAMESPACE = "/truth/"

# Rectified images first: a pinhole camera describes them exactly.
_IMAGE_NAMES = ("image_rect_color", "image_rect", "image_raw", "image_color", "image", "image_mono")
_IMAGE_SUFFIXES = ("", "/compressed")


@dataclass(frozen=True, slots=True)
class BagTopics:
    """The topics of one camera's drive; points and odometry may be absent.

    Attributes:
        camera: namespace, for example "/camera_02".
        rectified: whether the image topic's name says that the images are rectified.
    """

    camera: str
    image: str
    camera_info: str
    points: str | None
    odometry: str | None
    rectified: bool

    def names(self) -> tuple[str, ...]:
        """All of them."""
        topics = (self.image, self.camera_info, self.points, self.odometry)
        return tuple(topic for topic in topics if topic is not None)


def find_topics(
    types: Mapping[str, str], camera: str | None = None, points: str | None = None, odometry: str | None = None
) -> BagTopics:
    """Finds the topics of one camera.

    Args:
        types: topic -> message type, all that the bag has.
        camera: namespace of the camera; None takes the only one there is.
        points: point cloud topic, "none" for going without; None takes the only one there is, if any.
        odometry: odometry topic, "none" for going without; None takes the only one there is, if any. Topics in /truth
            are never taken without being named.

    Raises:
        DataError: a topic is not there or there are several to choose from; the message lists what the bag has.
    """
    namespace = _camera_namespace(types, camera)
    image = next(topic for topic in _image_topics(namespace) if types.get(topic) in (IMAGE, COMPRESSED_IMAGE))
    return BagTopics(
        camera=namespace,
        image=image,
        camera_info=f"{namespace}/camera_info",
        points=_sensor_topic(types, points, POINT_CLOUD, "points"),
        odometry=_sensor_topic(types, odometry, ODOMETRY, "odometry"),
        rectified="rect" in image[len(namespace) :],
    )


def require_topic(types: Mapping[str, str], topic: str, message_type: str, name: str) -> str:
    """The topic, if the bag has it with this type.

    Raises:
        DataError: it has not; the message lists what the bag has.
    """
    if types.get(topic) != message_type:
        got = f"{types[topic]} there" if topic in types else "no such topic"
        raise DataError(f"{name} topic {topic}: expected {message_type}, got {got}; {describe_topics(types)}")
    return topic


def describe_topics(types: Mapping[str, str]) -> str:
    """One line with every topic and its type."""
    return "the bag has: " + (", ".join(f"{topic} ({types[topic]})" for topic in sorted(types)) or "no topic")


def _image_topics(namespace: str) -> tuple[str, ...]:
    return tuple(f"{namespace}/{name}{suffix}" for name in _IMAGE_NAMES for suffix in _IMAGE_SUFFIXES)


def _is_camera(types: Mapping[str, str], namespace: str) -> bool:
    has_image = any(types.get(topic) in (IMAGE, COMPRESSED_IMAGE) for topic in _image_topics(namespace))
    return has_image and types.get(f"{namespace}/camera_info") == CAMERA_INFO


def _camera_namespace(types: Mapping[str, str], camera: str | None) -> str:
    if camera is not None:
        namespace = "/" + camera.strip("/") if camera.strip("/") else ""
        if _is_camera(types, namespace):
            return namespace
        raise DataError(
            f"camera {camera!r}: expected topics {namespace}/camera_info and {namespace}/image_raw "
            f"(or image_rect, image, with or without /compressed), got none; {describe_topics(types)}"
        )
    infos = sorted(topic for topic, kind in types.items() if kind == CAMERA_INFO and topic.endswith("/camera_info"))
    found = [topic.removesuffix("/camera_info") for topic in infos]
    found = [namespace for namespace in found if _is_camera(types, namespace)]
    if len(found) == 1:
        return found[0]
    got = ", ".join(found) if found else "no camera_info with an image beside it"
    raise DataError(f"camera: expected one to choose, got {got}; name it (--camera); {describe_topics(types)}")


def _sensor_topic(types: Mapping[str, str], topic: str | None, message_type: str, name: str) -> str | None:
    if topic == NO_TOPIC:
        return None
    if topic is not None:
        return require_topic(types, topic, message_type, name)
    found = sorted(
        candidate
        for candidate, kind in types.items()
        if kind == message_type and not candidate.startswith(TRUTH_NAMESPACE)
    )
    if len(found) > 1:
        raise DataError(f"{name}: expected one topic to choose, got {', '.join(found)}; name it, or say {NO_TOPIC!r}")
    return found[0] if found else None
