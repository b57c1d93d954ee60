# SPDX-License-Identifier: Apache-2.0
"""Rendering processes end with the process that they render for: when it is killed, and when it has had enough."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children

import pytest

from mono_depth_ros.datasets.rendered.render_pool import render_pool

_PARENT = """
import time
from multiprocessing import active_children
from mono_depth_ros.datasets.rendered.render_pool import render_pool
if __name__ == "__main__":
    with render_pool(2) as pool:
        for future in [pool.submit(time.sleep, 0.5) for _ in range(2)]:
            future.result()
        print(*(child.pid for child in active_children()), flush=True)
        pool.submit(time.sleep, 1e4).result()
"""
WAIT_S = 30.0


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended may still be listed."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_workers_of_a_killed_process_end(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(workers) == 2 and all(map(lives, workers))
        parent.send_signal(signal.SIGKILL)
    deadline_s = time.monotonic() + WAIT_S
    while any(map(lives, workers)):
        assert time.monotonic() < deadline_s, f"workers {workers} live {WAIT_S:g} s after their parent was killed"
        time.sleep(0.05)


def test_an_exception_does_not_wait_for_what_is_rendered():
    before = {child.pid for child in active_children()}
    with pytest.raises(KeyboardInterrupt), render_pool(2) as pool:
        assert pool.submit(abs, -1).result() == 1
        pool.submit(time.sleep, 1e4)
        raise KeyboardInterrupt
    assert {child.pid for child in active_children()} <= before
