"""Lines of files from outside."""

from pathlib import Path

from index.lines import bounded_lines


def read(folder: Path, content: bytes, longest: int) -> list[tuple[int, bytes | None]]:
    (folder / "lines").write_bytes(content)
    with (folder / "lines").open("rb") as file:
        return list(bounded_lines(file, longest))


def test_a_line_that_is_too_long_is_none_and_the_next_one_is_whole(tmp_path: Path) -> None:
    lines = read(tmp_path, b"\xef\xbb\xbfab\n" + b"x" * 50 + b"\n\ncd", 10)

    assert lines == [(1, b"ab\n"), (2, None), (3, b"\n"), (4, b"cd")]


def test_a_line_as_long_as_it_may_be_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, b"12345", 5) == [(1, b"12345")]
