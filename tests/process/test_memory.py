from __future__ import annotations

import platform
import subprocess
import sys

import pytest


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not tuned elsewhere")
def test_freed_memory_is_used_again() -> None:
    code = (
        "import resource\n"
        "from gradcam_cli.process.memory import reuse_memory\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(8):\n"
        "        b'x' * (24 << 20)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "fresh = faults()\n"
        "reuse_memory()\n"
        "b'x' * (24 << 20)\n"
        "print(fresh, faults())\n"
    )
    words = [sys.executable, "-c", code]
    result = subprocess.run(words, capture_output=True, text=True, check=True)
    fresh, again = map(int, result.stdout.split())
    assert fresh > 2 * 100
    assert again < fresh / 20
