import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from filelock import Timeout

from pipelines.durable.locks import lock_file
from pipelines.errors import ReleaseError
from pipelines.release import manifest as manifest_module
from pipelines.release import store
from pipelines.release.manifest import FORMAT, MANIFEST, SEAL, read_manifest
from pipelines.release.store import current, draft, names, open_release, prune, rollback
from pipelines.release.verdict import UnfitDraft, Verdict, at_least

ABOUT: dict[str, Any] = {
    "config": {},
    "shop": {"name": "x"},
    "until": None,
    "fingerprints": {},
    "quality": {},
}


def publish(releases: Path, content: str = "hello") -> str:
    with draft(releases) as new:
        (new.path / "deep").mkdir()
        (new.path / "deep/a.txt").write_text(content)
        (new.path / "b.bin").write_bytes(bytes(range(256)))
        new.seal(**ABOUT)
        return new.publish()


@pytest.mark.parametrize("lock", [store.LOCK, store.SWITCH])
def test_a_folder_that_cannot_be_written_is_named(lock: str, tmp_path: Path) -> None:
    (tmp_path / lock).mkdir()  # as a file that this user may not open

    with pytest.raises(ReleaseError, match=r"cannot be written: .*; let this user"):
        publish(tmp_path)


def test_what_was_published_is_current_and_whole(tmp_path: Path) -> None:
    name = publish(tmp_path)

    release = open_release(tmp_path)

    assert release.path.name == name == current(tmp_path)
    assert set(release.manifest.files) == {"deep/a.txt", "b.bin"}


def test_a_build_that_fails_leaves_nothing_and_the_current_release_stays(tmp_path: Path) -> None:
    name = publish(tmp_path)

    def fail() -> None:
        with draft(tmp_path) as new:
            (new.path / "half.bin").write_bytes(b"x")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        fail()

    assert names(tmp_path) == [name] == [current(tmp_path)]
    assert not list(tmp_path.glob(".draft-*"))


def test_rollback_goes_back_one_and_can_come_forward_again(tmp_path: Path) -> None:
    first, second = publish(tmp_path, "1"), publish(tmp_path, "2")

    assert rollback(tmp_path) == first == current(tmp_path)
    assert rollback(tmp_path, second) == second == current(tmp_path)


def test_there_is_nothing_before_the_first(tmp_path: Path) -> None:
    publish(tmp_path)

    with pytest.raises(ReleaseError, match="holds no release older than"):
        rollback(tmp_path)


def test_two_builds_do_not_write_at_once(tmp_path: Path) -> None:
    with draft(tmp_path), pytest.raises(ReleaseError, match="another build is writing here"):
        publish(tmp_path)


FAILED = Verdict(against=None, checks=(at_least("recall", 0.5, 0.95),))


def keep_dark(releases: Path, content: str = "dark") -> str:
    with draft(releases) as new:
        (new.path / "a.txt").write_text(content)
        new.seal(**ABOUT)
        new.judge(FAILED)
        return new.keep()


def test_a_dark_release_is_kept_whole_and_not_served(tmp_path: Path) -> None:
    lit, dark = publish(tmp_path), keep_dark(tmp_path)

    assert current(tmp_path) == lit
    assert open_release(tmp_path, dark).dark
    assert read_manifest(tmp_path / dark).gate == FAILED


def test_a_dark_release_is_served_by_force_only_and_says_so(tmp_path: Path) -> None:
    publish(tmp_path)
    dark = keep_dark(tmp_path)

    with pytest.raises(UnfitDraft, match=r"recall is 0\.5, below the limit 0\.95"):
        rollback(tmp_path, dark)
    with pytest.raises(UnfitDraft, match=f"releases publish {dark} --force"):
        store.publish(tmp_path, dark)
    store.publish(tmp_path, dark, force=True)

    served = open_release(tmp_path)
    assert served.path.name == dark
    assert served.manifest.gate is not None
    assert served.manifest.gate.forced
    assert served.manifest.gate.failed == FAILED.failed


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_manifest_is_whole_wherever_a_forced_publication_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    publish(tmp_path)
    dark = keep_dark(tmp_path)
    done, replace = [], manifest_module._replace

    def cut_off(path: Path, content: bytes) -> None:
        if len(done) == steps:
            raise KeyboardInterrupt
        done.append(path)
        replace(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(manifest_module, "_replace", cut_off)
        with suppress(KeyboardInterrupt):
            store.publish(tmp_path, dark, force=True)
    opened = open_release(tmp_path, dark)
    assert opened.manifest.gate is not None
    assert opened.manifest.gate.forced == (steps >= 2)
    assert steps == 3 or current(tmp_path) != dark


def test_rollback_passes_over_dark_releases(tmp_path: Path) -> None:
    first = publish(tmp_path)
    keep_dark(tmp_path)
    publish(tmp_path)

    assert rollback(tmp_path) == first


def test_old_releases_are_removed_but_for_the_served_one_and_the_one_before(tmp_path: Path) -> None:
    lit = [publish(tmp_path) for _ in range(4)]
    dark = [keep_dark(tmp_path) for _ in range(3)]
    rollback(tmp_path, lit[1])

    gone = prune(tmp_path, keep=1, keep_dark=1)

    assert gone == [lit[2], dark[0], dark[1]]
    assert names(tmp_path) == [dark[2], lit[3], lit[1], lit[0]]
    assert prune(tmp_path, keep_dark=1) == []
    assert not list(tmp_path.glob(".draft-*"))


def truncate(release: Path) -> None:
    file = release / "b.bin"
    file.write_bytes(file.read_bytes()[:100])


def flip(release: Path) -> None:
    content = bytearray((release / "b.bin").read_bytes())
    content[77] ^= 1
    (release / "b.bin").write_bytes(content)


def change(release: Path, **changed: Any) -> None:
    """Change a manifest and seal it anew, as whoever can write here could."""
    manifest = msgspec.json.decode((release / MANIFEST).read_bytes())
    seal(release, msgspec.json.encode({**manifest, **changed}))


def seal(release: Path, content: bytes) -> None:
    (release / MANIFEST).write_bytes(content)
    (release / SEAL).write_text(hashlib.sha256(content).hexdigest())


def edit(release: Path) -> None:
    content = (release / MANIFEST).read_bytes()
    assert b'"name":"x"' in content
    (release / MANIFEST).write_bytes(content.replace(b'"name":"x"', b'"name":"y"'))


def pipe(release: Path) -> None:
    (release / "b.bin").unlink()
    os.mkfifo(release / "b.bin")


def unsealed(release: Path, version: int) -> None:
    change(release, format=version)
    (release / SEAL).unlink()


def link(release: Path) -> None:
    (release / "b.bin").unlink()
    (release / "b.bin").symlink_to("/etc/hostname")


DAMAGE = {
    "truncated file": (truncate, r"is damaged: b\.bin is not what was built"),
    "flipped bit": (flip, r"is damaged: b\.bin is not what was built"),
    "missing file": (lambda r: (r / "deep/a.txt").unlink(), r"is damaged: deep/a\.txt is missing"),
    "foreign file": (lambda r: (r / "c").write_text(""), "is damaged: c does not belong to it"),
    "a link": (link, r"b\.bin is a link"),
    "other format": (lambda r: change(r, format=99), "has format 99, this vetrina reads format 7"),
    "older format": (lambda r: unsealed(r, 2), "has format 2, this vetrina reads format 7"),
    "no seal": (lambda r: unsealed(r, FORMAT), r"manifest\.sha256 is missing"),
    "edited manifest": (edit, r"manifest\.json is not what was built"),
    "a pipe": (pipe, r"b\.bin is not a plain file"),
    "foreign folder": (lambda r: (r / "ranker").mkdir(), "is damaged: ranker does not belong"),
    "foreign pipe": (lambda r: os.mkfifo(r / "c"), "is damaged: c does not belong to it"),
    "deep manifest": (lambda r: seal(r, b'{"format":4,"a":' + b"[" * 100_000), "cannot be read"),
    "no manifest": (lambda r: (r / MANIFEST).unlink(), r"manifest\.json is missing"),
    "no manifest format": (lambda r: change(r, format="x"), "cannot be read"),
    "unknown key": (lambda r: change(r, extra=1), "unknown field `extra`"),
    "broken manifest": (lambda r: seal(r, b"{"), "cannot be read"),
    "path outside": (
        lambda r: change(r, files={"../x": {"bytes": 1, "sha256": "0"}}),
        r"is damaged: \.\./x is missing",
    ),
    "foreign release": (lambda r: change(r, name="another"), "calls itself 'another'"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_release_is_refused_by_name(tmp_path: Path, damage: Any, message: str) -> None:
    name = publish(tmp_path)
    damage(tmp_path / name)

    with pytest.raises(ReleaseError, match=message) as refused:
        open_release(tmp_path)

    assert name in str(refused.value) or "b.bin" in str(refused.value)


@pytest.mark.parametrize("text", ["", "../..", "gone", "\x00", "\udcff"])
def test_a_current_that_names_no_release_is_refused(tmp_path: Path, text: str) -> None:
    publish(tmp_path)
    (tmp_path / "CURRENT").write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(ReleaseError, match="which is not a release here"):
        open_release(tmp_path)


def test_a_current_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    publish(tmp_path)
    (tmp_path / "CURRENT").unlink()
    os.mkfifo(tmp_path / "CURRENT")

    with pytest.raises(ReleaseError, match="CURRENT is not a plain file"):
        open_release(tmp_path)


@pytest.mark.parametrize("name", ["../x", "/etc", "", ".draft-x"])
def test_only_a_release_of_the_folder_can_be_named(tmp_path: Path, name: str) -> None:
    publish(tmp_path)

    with pytest.raises(ReleaseError, match="holds no release"):
        open_release(tmp_path, name)


def test_an_empty_folder_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="run `vetrina build` first"):
        open_release(tmp_path)


KILLED_AT = """
import os, signal, sys
from pathlib import Path
from tests.pipelines.release.test_store import publish

steps = [os.fsync, os.replace, os.rename, os.mkdir, os.open]
count = int(sys.argv[2])


def dying(real):
    def step(*given, **named):
        global count
        count -= 1
        if count < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **named)
    return step


for name in ("fsync", "replace", "rename", "mkdir", "open"):
    setattr(os, name, dying(getattr(os, name)))
publish(Path(sys.argv[1]), "new")
"""


@pytest.mark.slow
def test_a_build_killed_at_any_step_leaves_a_whole_release(tmp_path: Path) -> None:
    old = publish(tmp_path / "kept", "old")
    killed = 0

    for step in range(100):
        releases = tmp_path / str(step)
        shutil.copytree(tmp_path / "kept", releases)
        ended = subprocess.run(
            [sys.executable, "-c", KILLED_AT, str(releases), str(step)],
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        release = open_release(releases)
        content = (release.path / "deep/a.txt").read_text()
        assert content == ("old" if release.path.name == old else "new")
        newest = publish(releases, "newest")
        assert current(releases) == newest
        assert {path.name for path in releases.glob(".*")} == {".lock", ".switch"}
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
        killed += 1

    assert killed >= 10


def test_a_release_that_is_being_switched_to_is_not_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest, *_ = [publish(tmp_path, str(number)) for number in range(4)]
    real = store.point_current
    pruned: list[Future[list[str]]] = []

    def slowly(releases: Path, name: str) -> None:
        pruned.append(pool.submit(prune, releases, keep=1))
        time.sleep(0.1)
        real(releases, name)

    monkeypatch.setattr(store, "point_current", slowly)
    with ThreadPoolExecutor(1) as pool:
        rollback(tmp_path, oldest)

    assert oldest not in pruned[0].result()
    assert open_release(tmp_path).manifest.name == oldest


def test_a_release_that_was_pruned_while_it_was_checked_is_not_switched_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest, *_, newest = [publish(tmp_path, str(number)) for number in range(4)]
    real = store.open_release

    def meanwhile(releases: Path, name: str) -> store.Release:
        found = real(releases, name)
        prune(releases, keep=1)
        return found

    monkeypatch.setattr(store, "open_release", meanwhile)
    with pytest.raises(ReleaseError, match="was removed meanwhile"):
        rollback(tmp_path, oldest)

    assert current(tmp_path) == newest


def test_a_manifest_says_when_it_was_made(tmp_path: Path) -> None:
    publish(tmp_path)

    assert abs((open_release(tmp_path).manifest.made_at - datetime.now(UTC)).total_seconds()) < 60


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_a_release_is_named_by_the_moment_in_utc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    before = datetime.now(UTC)

    name = publish(tmp_path)

    monkeypatch.undo()
    time.tzset()
    named = datetime.strptime(name, store.NAME).replace(tzinfo=UTC)
    assert before <= named <= datetime.now(UTC)


def test_a_release_that_is_built_after_a_clock_was_set_back_is_the_newest(tmp_path: Path) -> None:
    first = publish(tmp_path, "1")
    ahead = f"{datetime.now(UTC) + timedelta(hours=9):{store.NAME}}"
    shutil.copytree(tmp_path / first, tmp_path / ahead)
    (tmp_path / "zzz").mkdir()  # no release, and no name of one
    shutil.copytree(tmp_path / first, tmp_path / "renamed-by-hand")

    second, third = publish(tmp_path, "2"), publish(tmp_path, "3")

    assert ahead < second < third == current(tmp_path)
    assert rollback(tmp_path) == second


@pytest.mark.parametrize(
    ("umask", "file_mode", "folder_mode"),
    [(0o022, 0o644, 0o755), (0o027, 0o640, 0o750), (0o077, 0o600, 0o700)],
)
def test_every_file_can_be_read_by_whom_the_umask_lets_read(
    tmp_path: Path, umask: int, file_mode: int, folder_mode: int
) -> None:
    before = os.umask(umask)
    try:
        with draft(tmp_path) as new:
            (new.path / "words").mkdir(mode=0o700)
            (new.path / "words/meta.json").touch(mode=0o600)  # as tantivy and safetensors do
            new.seal(**ABOUT)
            name = new.publish()
    finally:
        os.umask(before)

    release = tmp_path / name
    modes = {path.name: path.stat().st_mode & 0o777 for path in [release, *release.rglob("*")]}
    assert modes == {
        name: folder_mode,
        "words": folder_mode,
        "meta.json": file_mode,
        MANIFEST: file_mode,
        SEAL: file_mode,
    }
    assert (tmp_path / "CURRENT").stat().st_mode & 0o777 == file_mode


@pytest.mark.parametrize("switch", [publish, rollback], ids=["build", "rollback"])
def test_whoever_points_current_holds_the_lock_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: Any
) -> None:
    publish(tmp_path, "1")
    publish(tmp_path, "2")
    real, free = store.point_current, []

    def looking(releases: Path, name: str) -> None:
        rival = lock_file(releases / store.SWITCH)
        with suppress(Timeout):
            rival.acquire(blocking=False)
            free.append(name)
        real(releases, name)

    monkeypatch.setattr(store, "point_current", looking)
    name = switch(tmp_path)

    assert (free, current(tmp_path)) == ([], name)
