"""Plans of small configs for two virtual devices of this machine, and of eight TPU chips where their compiler is."""

import dataclasses
import itertools
import json
import sys
import time
import types

import jax
import numpy as np
import pytest
from helpers.settings import module_of

from jaxaug.core.errors import UsageError
from jaxaug.data.loader import Loader
from jaxaug.planning.chips import CHIPS
from jaxaug.planning.collectives import Collectives
from jaxaug.planning.compiled import Cost, cost_of
from jaxaug.planning.delivery import images_delivered
from jaxaug.planning.plan import Plan, largest_batch, plan
from jaxaug.planning.programs import programs_of
from jaxaug.planning.report import report
from jaxaug.planning.stand_ins import load_stand_in
from jaxaug.planning.topology import Devices, has_compiler
from jaxaug.train.config import complete, expand
from jaxaug.train.experiment import build_experiment

module_of_plan = sys.modules[plan.__module__]
UNIT, ROOM = 8, 1000.0


def tiny():
    config = module_of("smoke").get_config()
    config.batch_size, config.eval_batch_size = 16, 100
    config.model.widths = (4,)
    return config


@pytest.fixture(scope="module")
def found():
    return plan(tiny(), "cpu:2")


def test_the_steps_of_a_config_and_what_they_tell_each_other(found):
    assert set(found.steps) == {"train", "evaluate"}
    assert found.rows == {"train": 16, "evaluate": 100}
    train = found.steps["train"]
    images = 1247 * 64  # validation rows are cut off
    assert images < train.arguments < train.memory < 2**22
    # The gradients of all parameters, at least.
    assert train.collectives["all-reduce"].bytes > 4 * (9 * 4 + 40)
    assert min(train.flops, found.steps["evaluate"].flops) > 50 * 16 * 36  # of the first convolution
    assert found.steps["evaluate"].arguments < train.arguments
    assert found.seconds("train") is None
    assert found.largest_batch is None


def test_a_plan_is_told_and_written(found):
    told = report(found)
    assert told.startswith("cpu:2: 2 x virtual devices")
    assert "train, 16 rows in all, 8 on each device" in told
    assert "all-reduce" in told
    assert json.loads(json.dumps(found.as_json()))["steps"]["train"]["collectives"]["all-reduce"]["count"] > 0


def test_an_unknown_step():
    with pytest.raises(UsageError, match="steps must be of train"):
        plan(tiny(), "cpu:2", steps=("training",))


class Refused:
    """A jitted function that does not compile."""

    def __init__(self, message):
        self._message = message

    def trace(self):
        return self

    def lower(self, lowering_platforms):
        return self

    def compile(self):
        raise RuntimeError(self._message)


@pytest.mark.parametrize(
    ("message", "memory"),
    [
        ("Ran out of memory in memory space hbm. Used 41.00G of 15.75G hbm. Exceeded hbm capacity by", 41 * 2**30),
        ("RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO temporaries (512.50M) "
         "exceeds available HBM (15.75G).", 512.5 * 2**20),
    ],
)  # fmt: skip
def test_what_does_not_fit(message, memory):
    """As the compilers say it."""
    assert cost_of(Refused(message), platform="tpu", devices=1) == Cost(memory, fits=False)
    with pytest.raises(RuntimeError, match="broken"):
        cost_of(Refused("broken"), platform="tpu", devices=1)


def test_the_least_time_is_that_of_the_slowest_part():
    chip = CHIPS["v5e"]
    links = {"all-reduce": Collectives(1, 1, chip.link * 3.0)}
    cost = Cost(1e9, flops=chip.flops * 2.0, bytes_accessed=chip.bandwidth, collectives=links)
    whole = Plan(Devices("v5e:4x4", [None] * 16, chip), {"train": cost}, {"train": 64})
    assert cost.seconds(chip) == pytest.approx({"products": 2.0, "memory": 1.0, "links": 3.0})
    assert whole.seconds("train") == pytest.approx(3.0)
    assert whole.images_per_host("train") == pytest.approx(64 / 3.0 / 2)  # 16 chips are two hosts
    assert "at least 3000.00 ms, of links" in report(whole)
    uncounted = Plan(whole.devices, {"train": Cost(1e9, collectives=links)}, {"train": 64})
    assert uncounted.seconds("train") is None
    assert "time        not known" in report(uncounted)
    none = Plan(whole.devices, {"train": Cost(41 * 2.0**30, fits=False)}, {"train": 64})
    assert none.seconds("train") is None
    assert "does not fit: 41.00 GiB of 14.9 GiB" in report(none)


@pytest.mark.parametrize(("batch_size", "hosts", "share"), [(16, 1, 16), (16, 3, 5), (16, 99, 1)])
def test_what_this_machine_delivers(monkeypatch, batch_size, hosts, share):
    """Batches of a host's share are read, from the first step on, again and again, and counted by the clock."""
    config, asked = tiny(), []
    config.place, config.batch_size, config.epochs = "host", batch_size, 1
    of_steps, clock = Loader.of_steps, itertools.count()

    def counted(self, step, rows):
        asked.append((step, rows))
        return of_steps(self, step, rows)

    monkeypatch.setattr(Loader, "of_steps", counted)
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    images_per_second = images_delivered(config, hosts, seconds=170.0)
    steps = 1247 // share
    # The first batch warms up; the clock is looked at once to begin, once after each batch, and once to divide.
    assert [step for step, _ in asked] == [number % steps for number in range(1 + 170)]
    assert {rows.shape for _, rows in asked} == {(1, share)}
    assert steps > 170 or np.array_equal(asked[0][1], asked[steps][1])
    assert images_per_second == pytest.approx(170 * share / 171)


def test_nothing_is_delivered_to_where_it_lies_already(found):
    assert images_delivered(tiny(), seconds=60.0) is None
    assert not found.sends
    with pytest.raises(UsageError, match="hosts must be 1 or more"):
        images_delivered(tiny(), seconds=0.0)


def test_a_set_that_is_missing_shows_before_anything_is_compiled(monkeypatch):
    monkeypatch.setattr(module_of_plan, "programs_of", lambda *_: pytest.fail("compiled"))
    config = module_of("deepaa_eval_imagenet").get_config()
    config.data.path = "/nowhere"
    with pytest.raises(UsageError, match="nowhere"):
        plan(config, "cpu:2", reading=1.0)


def test_a_plan_that_reads():
    config = tiny()
    config.place = "host"
    read = plan(config, "cpu:2", steps=("train",), reading=0.01)
    assert read.sends
    assert read.as_json()["delivered_images_per_second"] == read.delivered > 0
    assert f"cores reads {read.delivered:,.0f} images/s" in report(read).splitlines()[-1]
    chip = CHIPS["v5e"]
    cost = Cost(1e9, flops=chip.flops, bytes_accessed=0.0)
    half = Plan(Devices("v5e:2x4", [None] * 8, chip), {"train": cost}, {"train": 64}, delivered=32.0)
    assert "cores reads 32 images/s, 50 % of what the training needs" in report(half)
    assert "which lie on its devices" in report(dataclasses.replace(half, delivered=None, sends=False))


@pytest.mark.parametrize(
    ("each", "most", "expected"),
    [
        (10.0, 10_000, 88),  # 100 + 10 b <= 1000, in units of 8
        (10.0, 50, 48),  # no more rows than there are
        (120.0, 10_000, None),  # not even eight
        (0.01, 10_000, 10_000),
        (0.0, 10_000, 10_000),
    ],
)
def test_the_largest_batch(each, most, expected):
    asked = []

    def cost_of_batch(rows):
        asked.append(rows)
        return Cost(100 + each * rows, fits=100 + each * rows <= 1.2 * ROOM)

    assert largest_batch(cost_of_batch, cost_of_batch(32), 32, unit=UNIT, most=most, room=ROOM) == expected
    assert len(asked) <= 5


def test_a_stand_in_has_the_rows_of_the_config_and_no_images():
    config = module_of("deepaa_eval_imagenet").get_config()
    config.data.validation_size = 1000
    data = load_stand_in(complete(config))
    assert (len(data.train), len(data.validation), len(data.test)) == (1_281_167 - 1000, 1000, 50_000)
    assert (data.name, data.image_shape, data.num_classes) == ("imagenet", (256, 256, 3), 1000)
    config.data = {"name": "folder", "path": "/nowhere"}
    with pytest.raises(UsageError, match="A plan needs the rows of this set"):
        load_stand_in(complete(config))


def test_the_largest_batch_has_whole_groups(monkeypatch):
    chip = dataclasses.replace(CHIPS["v5e"], memory=2**19)
    monkeypatch.setattr(module_of_plan, "devices_of", lambda name: Devices(name, jax.devices()[:2], chip))
    seen = {}
    monkeypatch.setattr(module_of_plan, "largest_batch", lambda *_, **options: seen.update(options))
    config = tiny()
    config.batch_norm_groups = 8
    plan(config, "v5e:1x2", steps=("train",))
    assert seen["unit"] == 8


def test_the_largest_batch_of_a_config(monkeypatch):
    """Compiled for two devices that are said to be chips of little memory: more rows than asked for, and they fit."""
    chip = dataclasses.replace(CHIPS["v5e"], memory=2**19)
    monkeypatch.setattr(module_of_plan, "devices_of", lambda name: Devices(name, jax.devices()[:2], chip))
    found = plan(tiny(), "v5e:1x2", steps=("train",))
    assert 16 < found.largest_batch < 1247
    assert found.largest_batch % 2 == 0
    assert found.steps["train"].memory < 2**19


def test_memory_that_the_compiler_says_is_missing():
    """The step is one that does not fit, with what it would use; every other error is told as it is."""
    said = "RESOURCE_EXHAUSTED: Used 20.50G of 15.75G hbm. Exceeded by 4.75G"

    def refusing(message):
        def compile_it():
            raise RuntimeError(message)

        lowered = types.SimpleNamespace(compile=compile_it)
        return types.SimpleNamespace(trace=lambda *_: types.SimpleNamespace(lower=lambda **_: lowered))

    assert cost_of(refusing(said), platform="tpu", devices=8) == Cost(20.5 * 2**30, fits=False)
    with pytest.raises(RuntimeError, match="of another kind"):
        cost_of(refusing("of another kind"), platform="tpu", devices=8)


def shapes_of(program):
    """The shapes of what a step gives, for what the plan calls it with."""
    return [x.shape for x in jax.tree.leaves(program.jitted.eval_shape(*program.arguments))]


def test_the_steps_of_searches():
    """Each stage of DeepAA's, AutoDO's, and of rows that a host sends, with what a training calls it with."""
    config = module_of("deepaa_search_digits").get_config()
    config.search.num_layers, config.search.refine, config.model.widths = 2, 1, (4,)
    config = complete(next(iter(expand(config).values())))
    programs = programs_of(build_experiment(config, load_stand_in, jax.devices()[:2]), ("search",))
    assert set(programs) == {"search first", "search later", "search all"}
    assert shapes_of(programs["search later"])
    config = module_of("autodo_digits").get_config()
    config.model.widths, config.place = (4,), "host"
    config = complete(next(one for one in expand(config).values() if one.search.name == "autodo"))
    experiment = build_experiment(config, load_stand_in, jax.devices()[:2])
    programs = programs_of(experiment)
    assert set(programs) == {"train", "evaluate", "search"}
    search = programs["search"]
    rows = [x.shape[0] for x in jax.tree.leaves(search.arguments[2:])]
    assert set(rows) == {len(one) for one in experiment.search.rows(0)}
    assert search.rows == sum(len(one) for one in experiment.search.rows(0))
    assert shapes_of(search)[: len(jax.tree.leaves(search.arguments[0]))]


@pytest.mark.slow
@pytest.mark.scale
@pytest.mark.skipif(not has_compiler("v5e:2x4"), reason="the TPU compiler is not installed")
def test_a_step_for_eight_chips():
    """Digits with ISDA on 8 chips of v5e: parameters' gradients are summed, the images lie there once, all fits."""
    config = tiny()
    config.batch_size, config.data.validation_size = 64, 0
    planned = plan(config, "v5e:2x4", steps=("train",))
    train = planned.steps["train"]
    assert planned.devices.platform == "tpu"
    assert train.fits
    assert train.memory < 2**23
    assert 1 <= train.collectives["all-reduce"].count <= 12
    assert min(train.flops, train.bytes_accessed) > 0
    assert planned.seconds("train") > 0
    assert planned.largest_batch == 1344  # all rows


@pytest.mark.slow
@pytest.mark.scale
@pytest.mark.skipif(not has_compiler("h100:8"), reason="the GPU compiler is not installed")
def test_a_step_for_eight_gpus():
    """Memory and messages of a step on 8 GPUs; their compiler counts no operations, so that no time is told."""
    config = tiny()
    config.batch_size = 64
    planned = plan(config, "h100:8", steps=("train",), largest=False)
    assert planned.devices.platform == "gpu"
    assert planned.steps["train"].arguments < planned.steps["train"].memory < 2**23
    assert planned.steps["train"].collectives["all-reduce"].bytes > 4 * (9 * 4 + 40)
    assert planned.seconds("train") is None
