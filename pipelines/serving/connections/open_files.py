"""The limit of open files of this process, each connection being one."""

import contextlib
import resource

SPARE_FILES = 256  # open files that are not connections


def raise_file_limit(most: int) -> None:
    """Let this process open as many files as `most` connections may need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def most_connections(most: int) -> int:
    """Return how many connections a process may hold: `most`, within its limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return most
    return max(min(most, soft - SPARE_FILES), 1)
