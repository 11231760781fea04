"""Tells whether torch may find a graphics card, without the seconds that importing torch takes."""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")  # of NVIDIA, of Windows' Linux, of AMD
ON_PROCESSORS_ONLY = "+cpu"  # how such a build of torch calls itself


def may_have_gpu() -> bool:
    """Return False where torch can only run on the processor; True where torch has to be asked."""
    try:
        only_processors = version("torch").endswith(ON_PROCESSORS_ONLY)
    except PackageNotFoundError:
        return False
    if only_processors:
        return False
    return sys.platform != "linux" or any(Path(device).exists() for device in DEVICES)
