# SPDX-License-Identifier: Apache-2.0
"""Which topics belong to a camera: one remapping of ``image`` moves its ``camera_info`` and its compressed form too."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CameraTopics:
    """Fully resolved names."""

    image: str
    camera_info: str


def camera_topics(resolve: Callable[[str], str], expand: Callable[[str], str], transport: str) -> CameraTopics:
    """Topics of the camera, by the conventions of image_transport, which has no Python.

    ``image:=/front/image_raw`` alone gives ``/front/image_raw/compressed`` for compressed images, and
    ``/front/camera_info``; a remapping of either name itself has the last word.

    Args:
        resolve: the full name of a topic with remappings (rclpy's ``resolve_topic_name``).
        expand: the full name without them.
        transport: "raw" or "compressed".

    >>> remapped = {"image": "/front/image_raw"}
    >>> camera_topics(lambda name: remapped.get(name, "/" + name), lambda name: "/" + name, "compressed")
    CameraTopics(image='/front/image_raw/compressed', camera_info='/front/camera_info')
    """
    image = resolve("image")
    camera_info = resolve("camera_info")
    if image != expand("image") and camera_info == expand("camera_info"):
        camera_info = image.rsplit("/", 1)[0] + "/camera_info"
    if transport == "compressed":
        compressed = resolve("image/compressed")
        image = compressed if compressed != expand("image/compressed") else image + "/compressed"
    return CameraTopics(image, camera_info)
