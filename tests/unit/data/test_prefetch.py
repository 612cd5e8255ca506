"""Batches read ahead: in order, no more than asked for, with the reader's mistakes, and nobody left behind."""

import threading

import pytest

from jaxaug.data.prefetch import prefetched


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_order_and_depth(depth):
    """Never more than `depth` batches beside the one in use; all of them once, in order."""
    loaded, room = [], threading.Semaphore(0)

    def load(one):
        loaded.append(one)
        room.release()
        return one * one

    seen = []
    for one, square in prefetched(range(12), load, depth):
        seen.append((one, square))
        while len(loaded) < min(one + depth, 12):  # the reader gets as far as it may
            assert room.acquire(timeout=10)
        assert len(loaded) <= one + 1 + depth
    assert seen == [(n, n * n) for n in range(12)]
    assert readers() == []


@pytest.mark.parametrize("depth", [1, 3])
def test_a_mistake_is_raised_in_its_turn(depth):
    def load(one):
        if one == 2:
            raise OSError("no such row")
        return one

    seen = []
    with pytest.raises(OSError, match="no such row"):
        seen.extend(one for one, _ in prefetched(range(5), load, depth))
    assert readers() == []


def test_who_stops_in_the_middle_leaves_no_thread():
    batches = prefetched(iter(range(10**9)), lambda one: one, 4)
    assert next(batches) == (0, 0)
    batches.close()
    assert readers() == []
