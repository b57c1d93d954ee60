# SPDX-License-Identifier: Apache-2.0
"""Contents of ROS messages <-> plain arrays, without ROS.

The functions read attributes only, so messages of rclpy and of the `rosbags` package serve alike. What they return for
writing are the values of a message's fields; the caller puts them into the message class it has.
"""
