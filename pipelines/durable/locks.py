"""Locks between processes and threads, as files that stay where they are."""

from pathlib import Path

from filelock import FileLock


def lock_file(path: Path) -> FileLock:
    """Return the lock of a file, not acquired yet; each call returns a rival of the others.

    It is an `flock`, so the kernel releases it when its holder ends, however it ends. It excludes
    the processes of one machine; over NFS also those of others, as Linux turns it into a lock
    of the server. Any thread may release it. It is released with its last reference, too.
    """
    return FileLock(path, thread_local=False, fallback_to_soft=False)
