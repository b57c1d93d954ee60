# SPDX-License-Identifier: Apache-2.0
"""Which topics belong to a camera."""

import pytest

from mono_depth_ros.datasets.bags.topics import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    ODOMETRY,
    POINT_CLOUD,
    TopicNames,
    choose_topics,
    find_topics,
    require_topic,
)
from mono_depth_ros.errors import DataError

TYPES = {
    "/front/image_raw/compressed": COMPRESSED_IMAGE,
    "/front/camera_info": CAMERA_INFO,
    "/lidar/points": POINT_CLOUD,
    "/odom": ODOMETRY,
    "/chatter": "std_msgs/msg/String",
}
TWO_CAMERAS = {**TYPES, "/rear/image_raw": IMAGE, "/rear/camera_info": CAMERA_INFO}


def test_the_only_camera_and_sensors_are_found():
    topics = find_topics(TYPES)
    assert topics.names() == ("/front/image_raw/compressed", "/front/camera_info", "/lidar/points", "/odom")
    assert topics.camera == "/front" and not topics.rectified


@pytest.mark.parametrize("camera", ["/rear", "rear", "/rear/"])
def test_a_camera_is_chosen_by_its_namespace(camera):
    assert find_topics(TWO_CAMERAS, camera).image == "/rear/image_raw"


def test_several_cameras_have_to_be_chosen_from():
    with pytest.raises(
        DataError, match=r"expected one to choose, got /front, /rear; name it \(--camera\), or name both"
    ):
        find_topics(TWO_CAMERAS)


def test_an_unknown_camera_lists_what_the_bag_has():
    with pytest.raises(DataError, match=r"camera '/left': expected .* the bag has: /chatter \(std_msgs/msg/String\)"):
        find_topics(TYPES, "/left")


def test_an_image_without_camera_info_is_no_camera():
    with pytest.raises(DataError, match="got no camera_info with an image beside it"):
        find_topics({"/front/image_raw": IMAGE})


def test_a_camera_at_the_root_is_found():
    assert find_topics({"/image_raw": IMAGE, "/camera_info": CAMERA_INFO}).names() == ("/image_raw", "/camera_info")


def test_rectified_images_are_preferred_and_known_as_such():
    topics = find_topics({**TYPES, "/front/image_rect": IMAGE})
    assert topics.image == "/front/image_rect" and topics.rectified


def test_a_namespace_with_rect_in_its_name_does_not_make_images_rectified():
    types = {"/correct/image_raw": IMAGE, "/correct/camera_info": CAMERA_INFO}
    assert not find_topics(types).rectified


def test_sensors_can_be_left_out_by_name():
    topics = find_topics(TYPES, points="none", odometry="none")
    assert topics.points is None and topics.odometry is None


def test_absent_sensors_are_left_out():
    types = {topic: kind for topic, kind in TYPES.items() if topic.startswith("/front")}
    assert find_topics(types).points is None


def test_several_clouds_have_to_be_chosen_from():
    types = {**TYPES, "/lidar/points_4beam": POINT_CLOUD}
    with pytest.raises(DataError, match="expected one topic to choose, got /lidar/points, /lidar/points_4beam"):
        find_topics(types)
    assert find_topics(types, points="/lidar/points_4beam").points == "/lidar/points_4beam"


def test_a_missing_topic_lists_what_the_bag_has():
    with pytest.raises(DataError, match=r"points topic /velodyne: expected .*PointCloud2 or .*got no such topic"):
        find_topics(TYPES, points="/velodyne")


def test_a_topic_of_another_type_is_refused():
    with pytest.raises(DataError, match="got std_msgs/msg/String there"):
        require_topic(TYPES, "/chatter", (POINT_CLOUD,), "truth")


def test_topics_of_the_truth_are_taken_only_when_named():
    types = {**TYPES, "/truth/odom": ODOMETRY, "/truth/points": POINT_CLOUD}
    assert find_topics(types) == find_topics(TYPES)
    assert find_topics(types, odometry="/truth/odom").odometry == "/truth/odom"


REALSENSE = {
    "/camera/color/image_raw": IMAGE,
    "/camera/color/camera_info": CAMERA_INFO,
    "/camera/infra1/image_rect_raw": IMAGE,
    "/camera/infra1/camera_info": CAMERA_INFO,
    "/camera/depth/image_rect_raw": IMAGE,
    "/camera/depth/camera_info": CAMERA_INFO,
    "/camera/aligned_depth_to_color/image_raw": IMAGE,
    "/camera/aligned_depth_to_color/camera_info": CAMERA_INFO,
}


def test_the_colour_image_is_the_camera_beside_infrared_and_depth():
    assert find_topics(REALSENSE).image == "/camera/color/image_raw"


@pytest.mark.parametrize("names", [{"camera": "/camera/infra1"}, {"camera_info": "/camera/infra1/camera_info"}])
def test_the_image_beside_the_chosen_camera_info_is_found_whatever_its_name(names):
    topics = choose_topics(REALSENSE, TopicNames(**names))
    assert topics.image == "/camera/infra1/image_rect_raw"
    assert topics.camera_info == "/camera/infra1/camera_info"
    assert topics.rectified


def test_of_two_transports_the_raw_one_is_taken_whatever_the_name():
    types = {**REALSENSE, "/camera/infra1/image_rect_raw/compressed": COMPRESSED_IMAGE}
    assert find_topics(types, "/camera/infra1").image == "/camera/infra1/image_rect_raw"


def test_two_unusual_images_beside_one_camera_info_are_listed():
    types = {"/cam/left": IMAGE, "/cam/overlay": IMAGE, "/cam/camera_info": CAMERA_INFO}
    for camera in ("/cam", None):
        with pytest.raises(
            DataError, match=r"got .*/cam/left, /cam/overlay; .*name both: image=TOPIC and camera_info="
        ):
            find_topics(types, camera)


def test_an_image_and_a_camera_info_apart_are_both_to_be_named():
    types = {"/sensing/front/image": IMAGE, "/calibration/front": CAMERA_INFO}
    both = "images: /sensing/front/image; camera_info: /calibration/front"
    with pytest.raises(DataError, match=rf"{both}\); name both: image=TOPIC and camera_info=TOPIC"):
        find_topics(types)
    topics = choose_topics(types, TopicNames(image="/sensing/front/image", camera_info="/calibration/front"))
    assert topics.names() == ("/sensing/front/image", "/calibration/front")


def test_a_camera_info_without_an_image_beside_it_says_to_name_both():
    types = {**REALSENSE, "/calibration/front": CAMERA_INFO}
    with pytest.raises(DataError, match=r"camera '/calibration': expected .* got /calibration/front; name both"):
        choose_topics(types, TopicNames(camera_info="/calibration/front"))
