# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag belong to one camera."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from mono_depth_ros.errors import DataError

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
POINT_CLOUD = "sensor_msgs/msg/PointCloud2"
LASER_SCAN = "sensor_msgs/msg/LaserScan"
RANGE = "sensor_msgs/msg/Range"
ODOMETRY = "nav_msgs/msg/Odometry"
TWIST = "geometry_msgs/msg/TwistStamped"
TRANSFORMS = "tf2_msgs/msg/TFMessage"

# What to say in place of a topic to go without that sensor.
NO_TOPIC = "none"

# Topics below this hold what no sensor knows; they have to be named to be used.
TRUTH_NAMESPACE = "/truth/"

# What can be the sparse input. Without a name the first type that the bag has is taken; images have to be named, since
# a depth image and a picture have one type.
POINT_TYPES = (POINT_CLOUD, LASER_SCAN, RANGE)
NAMED_POINT_TYPES = (*POINT_TYPES, IMAGE, COMPRESSED_IMAGE)
# What can tell the motion; a twist tells the speed only.
MOTION_TYPES = (ODOMETRY, TWIST)

# Rectified images first: a pinhole camera describes them exactly.
_IMAGE_NAMES = ("image_rect_color", "image_rect", "image_raw", "image_color", "image", "image_mono")
# What to do where an image and its camera_info are not found together.
_NAME_BOTH = (
    "name both: image=TOPIC and camera_info=TOPIC in a bag's address, "
    "--remap image:=TOPIC --remap camera_info:=TOPIC in replay"
)


@dataclass(frozen=True, slots=True)
class BagTopics:
    """The topics of one camera's drive; points and odometry may be absent.

    Attributes:
        camera: namespace, for example "/camera_02".
        points: a cloud, planar scan, single range, or depth images.
        odometry: Odometry, or a TwistStamped, which gives speeds but no poses.
        rectified: whether the images are rectified, so that P of camera_info describes them and D does not count.
        points_info: camera_info of `points`, where these are depth images.
        more_points: further sources of points, each of another type; they are merged with `points`.
    """

    camera: str
    image: str
    camera_info: str
    points: str | None
    odometry: str | None
    rectified: bool
    points_info: str | None = None
    more_points: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """All of them."""
        topics = (self.image, self.camera_info, self.points, self.odometry, self.points_info, *self.more_points)
        return tuple(dict.fromkeys(topic for topic in topics if topic is not None))


@dataclass(frozen=True, slots=True)
class TopicNames:
    """What a user says about the topics of a bag; None where the bag is to be looked at.

    Attributes:
        camera: namespace of the camera.
        image, camera_info: topics, in place of a namespace or where their names are none of the usual ones.
        points, odometry: topics; "none" for going without.
        points_info: camera_info of the depth images that are the points.
        rectified: whether the images are rectified.
    """

    camera: str | None = None
    image: str | None = None
    camera_info: str | None = None
    points: str | None = None
    odometry: str | None = None
    points_info: str | None = None
    rectified: bool | None = None


def find_topics(
    types: Mapping[str, str], camera: str | None = None, points: str | None = None, odometry: str | None = None
) -> BagTopics:
    """Finds the topics of one camera by its namespace; see `choose_topics`."""
    return choose_topics(types, TopicNames(camera=camera, points=points, odometry=odometry))


def choose_topics(types: Mapping[str, str], names: TopicNames) -> BagTopics:
    """The topics that a user named, and for the rest the only ones that could be meant.

    Topics in /truth are never taken without being named.

    Args:
        types: topic -> message type, all that the bag has.
        names: what the user said.

    Raises:
        DataError: a topic is not there or there are several to choose from; the message lists what the bag has.
    """
    image = _image_topic(types, names)
    namespace = _parent(image) if names.camera is None else _namespace(names.camera)
    info = names.camera_info or f"{_parent(image)}/camera_info"
    require_topic(types, info, (CAMERA_INFO,), "camera_info")
    points = _sensor_topic(types, names.points, POINT_TYPES, NAMED_POINT_TYPES, "points")
    points_info = None
    if points is not None and types[points] in (IMAGE, COMPRESSED_IMAGE):
        points_info = names.points_info or f"{_parent(points)}/camera_info"
        require_topic(types, points_info, (CAMERA_INFO,), "points_info")
    return BagTopics(
        camera=namespace,
        image=image,
        camera_info=info,
        points=points,
        odometry=_sensor_topic(types, names.odometry, MOTION_TYPES, MOTION_TYPES, "odometry"),
        rectified="rect" in image[len(namespace) :] if names.rectified is None else names.rectified,
        points_info=points_info,
    )


def with_more_points(topics: BagTopics, types: Mapping[str, str], more: Sequence[str]) -> BagTopics:
    """The topics with further sources of points.

    Raises:
        DataError: one is not there, or two have the same type: like the node, one of each is listened to.
    """
    taken = [types[topics.points]] if topics.points is not None else []
    for topic in more:
        kind = types[require_topic(types, topic, POINT_TYPES, "points")]
        if topics.points is None or kind in taken:
            raise DataError(f"points topic {topic}: expected a type that no other points have, got {kind}")
        taken.append(kind)
    return replace(topics, more_points=tuple(more))


def require_topic(types: Mapping[str, str], topic: str, message_types: Collection[str], name: str) -> str:
    """The topic, if the bag has it with one of these types.

    Raises:
        DataError: it has not; the message lists what the bag has.
    """
    if types.get(topic) not in message_types:
        got = f"{types[topic]} there" if topic in types else "no such topic"
        expected = " or ".join(message_types)
        raise DataError(f"{name} topic {topic}: expected {expected}, got {got}; {describe_topics(types)}")
    return topic


def describe_topics(types: Mapping[str, str]) -> str:
    """One line with every topic and its type."""
    return "the bag has: " + (", ".join(f"{topic} ({types[topic]})" for topic in sorted(types)) or "no topic")


def _image_topic(types: Mapping[str, str], names: TopicNames) -> str:
    """The camera's image topic: the named one, else the one beside its camera_info."""
    if names.image is not None:
        return require_topic(types, names.image, (IMAGE, COMPRESSED_IMAGE), "image")
    if names.camera is not None:
        namespace = _namespace(names.camera)
    elif names.camera_info is not None:
        namespace = _parent(names.camera_info)
    else:
        return _only_camera(types)
    info = names.camera_info or f"{namespace}/camera_info"
    found = _images_beside(types, namespace)
    if len(found) == 1 and types.get(info) == CAMERA_INFO:
        return found[0]
    raise DataError(
        f"camera {names.camera or namespace!r}: expected {info} and one image topic in {namespace}/, "
        f"got {_listed([*([info] if types.get(info) == CAMERA_INFO else []), *found])}; {_NAME_BOTH}; "
        f"{describe_topics(types)}"
    )


def _only_camera(types: Mapping[str, str]) -> str:
    """The image of the only camera; depth images and unusual names count only where there is nothing else."""
    infos = sorted(
        topic for topic, kind in types.items() if kind == CAMERA_INFO and not topic.startswith(TRUTH_NAMESPACE)
    )
    found = [
        image
        for namespace in dict.fromkeys(_parent(info) for info in infos if info.endswith("/camera_info"))
        for image in _images_beside(types, namespace)
    ]
    found = [image for image in found if "depth" not in image] or found
    found = [image for image in found if _usual_name(image)] or found
    if len(found) == 1:
        return found[0]
    if not found:
        images = sorted(topic for topic, kind in types.items() if kind in (IMAGE, COMPRESSED_IMAGE))
        raise DataError(
            f"camera: expected an image topic with camera_info beside it, got no camera_info with an image beside it "
            f"(images: {_listed(images)}; camera_info: {_listed(infos)}); {_NAME_BOTH}; {describe_topics(types)}"
        )
    namespaces = list(dict.fromkeys(_parent(image) for image in found))
    got = _listed(namespaces if len(namespaces) == len(found) else found)
    raise DataError(
        f"camera: expected one to choose, got {got}; name it (--camera), or {_NAME_BOTH}; {describe_topics(types)}"
    )


def _images_beside(types: Mapping[str, str], namespace: str) -> list[str]:
    """Image topics of a namespace, once each whatever the transport; only the best if one has a usual name."""
    images: dict[str, str] = {}
    # Reversed, so that of two transports the raw one stays.
    for topic in sorted(types, reverse=True):
        if (
            types[topic] in (IMAGE, COMPRESSED_IMAGE)
            and _parent(topic) == namespace
            and not topic.endswith("/compressedDepth")
        ):
            images[_without_transport(topic)] = topic
    usual = [images[f"{namespace}/{name}"] for name in _IMAGE_NAMES if f"{namespace}/{name}" in images]
    return usual[:1] or sorted(images.values())


def _usual_name(image: str) -> bool:
    return _without_transport(image).rpartition("/")[2] in _IMAGE_NAMES


def _listed(topics: Sequence[str]) -> str:
    return ", ".join(topics) or "none"


def _sensor_topic(
    types: Mapping[str, str], topic: str | None, found_types: Collection[str], allowed: Collection[str], name: str
) -> str | None:
    """The named topic, if it has an allowed type; else the only one of the first type that the bag has."""
    if topic == NO_TOPIC:
        return None
    if topic is not None:
        return require_topic(types, topic, allowed, name)
    for message_type in found_types:
        found = sorted(t for t, kind in types.items() if kind == message_type and not t.startswith(TRUTH_NAMESPACE))
        if len(found) > 1:
            raise DataError(
                f"{name}: expected one topic to choose, got {', '.join(found)}; name it, or say {NO_TOPIC!r}"
            )
        if found:
            return found[0]
    return None


def _namespace(camera: str) -> str:
    return "/" + camera.strip("/") if camera.strip("/") else ""


def _parent(topic: str) -> str:
    """Namespace of an image topic, with or without its transport.

    >>> _parent("/front/image_raw/compressed"), _parent("/image_raw")
    ('/front', '')
    """
    return _without_transport(topic).rpartition("/")[0]


def _without_transport(topic: str) -> str:
    return topic.removesuffix("/compressed").removesuffix("/compressedDepth")
