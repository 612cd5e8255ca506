"""Collectives counted in programs' texts, as the compilers for TPUs, GPUs and processors write them."""

import pytest

from jaxaug.planning.collectives import bytes_of, collectives_of

TEXT = """
  %a = f32[10,4]{1,0:T(8,128)} all-reduce(%x), channel_id=1, replica_groups={{0,1,2,3,4,5,6,7}}, to_apply=%add
  %b = (f32[16]{0}, bf16[3,3,8]{2,1,0}) all-reduce-start(%y, %z), replica_groups=[1,8]<=[8], to_apply=%add
  %c = (f32[16]{0}, bf16[3,3,8]{2,1,0}) all-reduce-done(%b)
  %d = (bf16[8,2]{1,0}, bf16[64,2]{1,0}) all-gather-start(%w), replica_groups=[2,4]<=[8], dimensions={0}
  %e = f32[4]{0} reduce-scatter(%v), replica_groups={{0,1},{2,3},{4,5},{6,7}}, dimensions={0}, to_apply=%add
  %f = u8[5]{0} collective-permute(%u), source_target_pairs={{0,1},{1,0}}
  %g = f32[9]{0} all-reduce(%t), replica_groups={{0},{1},{2},{3},{4},{5},{6},{7}}, to_apply=%add
  %h = f32[7]{0} fusion(%a, %e), kind=kLoop, calls=%all-reduce.clone
"""


def test_each_kind_is_counted_once_with_the_bytes_of_its_whole_result():
    found = collectives_of(TEXT, 8)
    assert {kind: (one.count, one.bytes) for kind, one in found.items()} == {
        "all-reduce": (2, 160 + 64 + 144),
        "all-gather": (1, 256),
        "reduce-scatter": (1, 32),
        "collective-permute": (1, 5),
    }
    assert bytes_of(found) == 368 + 256 + 32 + 5


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("all-reduce", 368 * 2 * 7 / 8),
        ("all-gather", 256 * 3 / 4),
        ("reduce-scatter", 32 / 2),
        ("collective-permute", 5),
    ],
)
def test_what_each_device_sends_in_a_ring_of_its_group(kind, sent):
    assert collectives_of(TEXT, 8)[kind].sent == pytest.approx(sent)


def test_a_program_of_one_device_has_none():
    assert collectives_of("%a = f32[3]{0} add(%x, %y)", 1) == {}
