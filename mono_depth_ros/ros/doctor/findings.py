# SPDX-License-Identifier: Apache-2.0
"""What the doctor finds, and what each reason of ~/status means."""

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How bad it is."""

    GOOD = 0
    NOTE = 1
    WARNING = 2  # depth comes, but not as it could
    ERROR = 3  # no depth


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        severity: how bad it is.
        name: searchable, such as qos_mismatch.
        what: the fact.
        why: what follows from it.
        to_do: what to do; empty when nothing is to be done.
    """

    severity: Severity
    name: str
    what: str
    why: str = ""
    to_do: str = ""


# Reasons of ~/status, without what follows a colon: (severity, what it means, what to do).
STATUS_REASONS: dict[str, tuple[Severity, str, str]] = {
    "points_used": (Severity.GOOD, "points are fresh, and enough of them are in view", ""),
    "no_points": (
        Severity.WARNING,
        "no usable scan, so depth is predicted from the image alone",
        "see what is said of the inputs with points",
    ),
    "points_stale": (
        Severity.WARNING,
        "the nearest scan is older than dial.max_points_age_s when the image is taken",
        "look for a LiDAR that stopped, or whose clock is off",
    ),
    "too_few_points_in_view": (
        Severity.WARNING,
        "fewer than dial.min_points fall into the image",
        "check extrinsics.T_camera_lidar or TF: does the LiDAR look where the camera looks?",
    ),
    "model_predicts_only": (Severity.NOTE, "the model was trained without points", ""),
    "prediction_forced": (Severity.NOTE, "mode is set to prediction", "set mode to auto to use points"),
    "completion_forced_without_points": (
        Severity.ERROR,
        "mode is set to completion and there are no points in view",
        "set mode to auto to predict meanwhile",
    ),
    "no_camera_info": (Severity.ERROR, "no usable calibration has come yet", "see what is said of camera_info"),
    "image_size_differs": (
        Severity.ERROR,
        "image and camera_info have different sizes",
        "check that both topics belong to the same camera, and to the same side of a resizing node",
    ),
    "image_unreadable": (
        Severity.ERROR,
        "unknown encoding, or broken data",
        "see the error of the image below; image_transport tells raw from compressed",
    ),
    "not_metric": (
        Severity.ERROR,
        "the model gives depth up to an unknown factor, and nothing tells the factor",
        "give it points, odometry while it moves, or the camera's place above the ground (TF)",
    ),
}

# Reasons of an input that is not used, in ~/status: (what it means, what to do).
INPUT_REASONS: dict[str, tuple[str, str]] = {
    "no_extrinsics": (
        "nobody tells where this sensor sits in the camera's frame",
        "publish it on /tf_static, or set extrinsics.T_camera_lidar and extrinsics.T_base_camera",
    ),
    "no_tf2_msgs": (
        "tf2_msgs is not installed where the node runs, so it cannot ask TF",
        "install tf2_msgs, or set extrinsics.T_camera_lidar and extrinsics.T_base_camera",
    ),
    "no_frame_id": ("a message has an empty frame_id", "set the frame_id of the driver"),
    "points_stale": (
        "its newest data is too old for the image",
        "look for a sensor that stopped, or a clock that is off",
    ),
    "no_odometry_at_image": ("odometry does not reach the image's stamp", "compare the stamps of odometry and image"),
}
