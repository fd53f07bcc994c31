"""Buffers that are used again, and only then when nobody looks at them."""

from __future__ import annotations

from scaleout.buffers import KEPT_BYTES, SMALLEST_BYTES, Buffers

SIZE = 3 * SMALLEST_BYTES


def test_a_buffer_is_used_again_once_its_views_are_gone() -> None:
    buffers = Buffers()
    view = buffers.view(SIZE)
    assert len(view) == SIZE
    buffer = view.obj
    part = view[10:20]
    del view
    other = buffers.view(SIZE)
    assert other.obj is not buffer
    del part
    assert buffers.view(SIZE - 1).obj is buffer
    assert buffers.view(SIZE + 1).obj is buffer


def test_the_one_used_last_is_taken_first() -> None:
    buffers = Buffers()
    views = [buffers.view(SIZE) for _ in range(3)]
    last = views[-1].obj
    del views
    assert buffers.view(SIZE).obj is last


def test_what_is_too_small_is_not_taken() -> None:
    buffers = Buffers()
    small = buffers.view(SIZE).obj
    large = buffers.view(4 * SIZE)
    assert len(large) == 4 * SIZE and large.obj is not small


def test_small_and_huge_buffers_are_not_kept() -> None:
    buffers = Buffers()
    for size in (0, 1, SMALLEST_BYTES - 1, KEPT_BYTES + 1):
        view = buffers.view(size)
        assert len(view) == size
        obj = view.obj
        del view
        assert buffers.view(size).obj is not obj


def test_no_more_is_kept_than_may_be() -> None:
    buffers = Buffers()
    views = [buffers.view(KEPT_BYTES // 4) for _ in range(8)]
    first, last = views[0].obj, views[-1].obj
    del views
    taken = [buffers.view(KEPT_BYTES // 4) for _ in range(8)]
    objs = [view.obj for view in taken]
    assert any(obj is last for obj in objs) and not any(obj is first for obj in objs)
