# SPDX-License-Identifier: Apache-2.0
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.perception.rig_slots import Placement, RigSlots, SlotPolicy

MS = 1_000_000


@pytest.fixture
def slots() -> RigSlots[str]:
    return RigSlots(SlotPolicy(("front", "left", "right"), tolerance_s=0.02))


def test_images_within_the_tolerance_share_a_slot_in_the_order_of_the_rig(slots):
    assert slots.put("right", 1000 * MS, "r") is Placement.BEGAN
    assert slots.put("front", 1020 * MS, "f") is Placement.JOINED
    assert not slots.is_complete(1000 * MS)
    assert slots.put("left", 980 * MS, "l") is Placement.JOINED
    assert slots.is_complete(1000 * MS)
    assert list(slots.take(1000 * MS).items()) == [("front", "f"), ("left", "l"), ("right", "r")]


def test_a_camera_that_says_nothing_is_left_out(slots):
    slots.put("front", 1000 * MS, "f")
    slots.put("left", 1000 * MS, "l")
    assert slots.take(1000 * MS) == {"front": "f", "left": "l"}


def test_an_image_after_its_slot_was_taken_is_late_and_counted(slots):
    slots.put("front", 1000 * MS, "f")
    slots.take(1000 * MS)
    assert slots.put("left", 1005 * MS, "l") is Placement.LATE
    assert slots.dropped() == {"front": 0, "left": 1, "right": 0}


def test_a_second_image_of_one_camera_in_one_moment_is_not_a_slot_of_its_own(slots):
    slots.put("front", 1000 * MS, "f")
    assert slots.put("front", 1010 * MS, "again") is Placement.LATE
    assert slots.take(1000 * MS) == {"front": "f"}


def test_slots_that_were_overtaken_are_dropped_with_every_image(slots):
    slots.put("front", 1000 * MS, "f1")
    slots.put("left", 1000 * MS, "l1")
    slots.put("front", 1100 * MS, "f2")
    assert slots.take(1100 * MS) == {"front": "f2"}
    assert slots.dropped() == {"front": 1, "left": 1, "right": 0}
    assert slots.put("right", 1000 * MS, "r1") is Placement.LATE


def test_an_image_joins_a_slot_behind_the_newest_while_that_waits(slots):
    slots.put("front", 1000 * MS, "f1")
    slots.put("front", 1100 * MS, "f2")
    assert slots.put("left", 1001 * MS, "l1") is Placement.JOINED
    assert slots.take(1000 * MS) == {"front": "f1", "left": "l1"}


def test_memory_is_bounded_while_nobody_takes(slots):
    for frame in range(100):
        slots.put("front", frame * 100 * MS, str(frame))
    assert slots.dropped()["front"] == 96
    assert slots.take(99 * 100 * MS) == {"front": "99"}


def test_a_looped_bag_begins_anew(slots):
    slots.put("front", 9000 * MS, "old")
    assert slots.put("front", 1000 * MS, "new") is Placement.BEGAN
    assert slots.is_complete(9000 * MS)  # it is gone: nothing to wait for
    assert slots.take(1000 * MS) == {"front": "new"}


@pytest.mark.parametrize("cameras", [(), ("a", "a"), ("",)])
def test_a_rig_needs_cameras_with_different_names(cameras):
    with pytest.raises(ConfigError, match="different names"):
        SlotPolicy(cameras)
