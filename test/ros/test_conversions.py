# SPDX-License-Identifier: Apache-2.0
"""Encodings that we do not decode ourselves go through cv_bridge where it is installed."""

import sys
import types

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("mono_depth_ros.msg", reason="needs the built messages: make build, then source install/")

from sensor_msgs.msg import Image

from mono_depth_ros.errors import DataError
from mono_depth_ros.ros.conversions import message_image

pytestmark = pytest.mark.ros


def rare_image() -> Image:
    return Image(height=2, width=2, encoding="32SC3", step=24, data=bytes(48))


class StandInError(TypeError):
    """CvBridgeError is a TypeError too."""


def install_stand_in(monkeypatch: pytest.MonkeyPatch, convert) -> None:
    module = types.ModuleType("cv_bridge")
    module.__spec__ = types.SimpleNamespace(name="cv_bridge")
    module.CvBridgeError = StandInError
    module.CvBridge = lambda: types.SimpleNamespace(imgmsg_to_cv2=convert)
    monkeypatch.setitem(sys.modules, "cv_bridge", module)


def test_a_rare_encoding_is_given_to_cv_bridge_where_it_is_installed(monkeypatch):
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    asked = []

    def convert(message, desired_encoding):
        asked.append((message.encoding, desired_encoding))
        return pixels

    install_stand_in(monkeypatch, convert)
    assert message_image(rare_image()).tolist() == pixels.tolist()
    assert asked == [("32SC3", "rgb8")]


def test_what_cv_bridge_cannot_convert_is_a_data_error(monkeypatch):
    def convert(message, desired_encoding):
        raise StandInError("Unrecognized image encoding")

    install_stand_in(monkeypatch, convert)
    with pytest.raises(DataError, match=r"32SC3.*Unrecognized"):
        message_image(rare_image())


def test_without_cv_bridge_the_error_names_what_is_supported(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"expected one of rgb8.*32SC3"):
        message_image(rare_image())
