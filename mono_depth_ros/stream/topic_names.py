# SPDX-License-Identifier: Apache-2.0
"""Which topics belong to a camera: one remapping of ``image`` moves its ``camera_info`` and its compressed form too."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CameraTopics:
    """Fully resolved names."""

    image: str
    camera_info: str


def camera_topics(
    resolve: Callable[[str], str], expand: Callable[[str], str], transport: str, prefix: str = ""
) -> CameraTopics:
    """Topics of the camera, by the conventions of image_transport, which has no Python.

    ``image:=/front/image_raw`` alone gives ``/front/image_raw/compressed`` for compressed images, and
    ``/front/camera_info``; a remapping of either name itself has the last word.

    Args:
        resolve: the full name of a topic with remappings (rclpy's ``resolve_topic_name``).
        expand: the full name without them.
        transport: "raw" or "compressed".
        prefix: before both names, such as "front/".

    >>> remapped = {"image": "/front/image_raw"}
    >>> camera_topics(lambda name: remapped.get(name, "/" + name), lambda name: "/" + name, "compressed")
    CameraTopics(image='/front/image_raw/compressed', camera_info='/front/camera_info')
    """
    image_name, info_name = f"{prefix}image", f"{prefix}camera_info"
    image, camera_info = resolve(image_name), resolve(info_name)
    if image != expand(image_name) and camera_info == expand(info_name):
        camera_info = image.rsplit("/", 1)[0] + "/camera_info"
    if transport == "compressed":
        compressed = resolve(f"{image_name}/compressed")
        image = compressed if compressed != expand(f"{image_name}/compressed") else image + "/compressed"
    return CameraTopics(image, camera_info)
