# SPDX-License-Identifier: Apache-2.0
"""What a pixel of a synthetic world shows."""

from __future__ import annotations

from enum import IntEnum


class Label(IntEnum):
    """Semantic classes, stored as uint8: the 19 train ids of Cityscapes, then our own for rooms and odd things."""

    ROAD = 0
    SIDEWALK = 1
    BUILDING = 2
    WALL = 3
    FENCE = 4
    POLE = 5
    TRAFFIC_LIGHT = 6
    TRAFFIC_SIGN = 7
    VEGETATION = 8
    TERRAIN = 9
    SKY = 10
    PERSON = 11
    RIDER = 12
    CAR = 13
    TRUCK = 14
    BUS = 15
    TRAIN = 16
    MOTORCYCLE = 17
    BICYCLE = 18
    FLOOR = 19
    CEILING = 20
    FURNITURE = 21
    DOOR = 22
    WINDOW = 23
    CLUTTER = 24
    UNKNOWN = 255
