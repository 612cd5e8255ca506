"""Where records go besides the run's folder: what each sink is given, that none stops a training, and the real ones."""

import json
import struct
import sys
import time
import types

import pytest

from jaxaug.analysis import Run
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.runs.fields import LAYOUT
from jaxaug.runs.history import read_history
from jaxaug.runs.sinks import base
from jaxaug.runs.workdir import Workdir
from jaxaug.train.config import complete, default_config

CONFIG = {"seed": 3, "loss": [{"name": "isda", "strength": 0.5}], "model": {"name": "linear"}}
RECORDS = [{"step": 10 * i, "epoch": i, "train_loss": 1 / i, "seconds": 0.5} for i in (1, 2)]
RESULT = {"test_top1": 0.9, "seconds": 1, "reliability": {"share": [1]}, "reported_on": "validation"}


def run_to_its_end(folder, *sinks, records=RECORDS, result=RESULT):
    workdir = Workdir(folder, {**CONFIG, "sinks": sinks}, LAYOUT)
    try:
        workdir.begin()
        for record in records:
            workdir.log(record)
        if result:
            workdir.finish(result)
    finally:
        workdir.close()


@pytest.fixture
def calls():
    """What a registered sink is told, in order; one with `fails` raises at that call."""
    told = []

    @register("sink", "listener")
    class Listener:
        def __init__(self, fails=""):
            self._fails = fails

        def _tell(self, name, *what):
            told.append((name, *what))
            if name == self._fails:
                raise ConnectionError("the server is gone")

        def begin(self, folder, config):
            self._tell("begin", folder.name, config["seed"])

        def log(self, record):
            self._tell("log", record["step"])

        def finish(self, result):
            self._tell("finish", result["test_top1"])

        def close(self):
            self._tell("close")

    yield told
    from jaxaug.core import registry

    del registry._TABLES["sink"]["listener"]


def test_a_sink_is_told_everything_in_order(calls, tmp_path):
    run_to_its_end(tmp_path / "run", "listener", "tensorboard")
    assert calls == [("begin", "run", 3), ("log", 10), ("log", 20), ("finish", 0.9), ("close",)]
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    calls.clear()
    run_to_its_end(tmp_path / "run", "listener", records=[], result=None)
    assert calls == [], "a complete run has nothing to tell"


@pytest.mark.parametrize("fails", ["log", "finish", "close"])
def test_a_sink_that_fails_stops_nothing(calls, tmp_path, capsys, fails):
    run_to_its_end(tmp_path, {"name": "listener", "fails": fails})
    assert read_history(tmp_path / "metrics.jsonl") == RECORDS
    assert json.loads((tmp_path / "result.json").read_text()) == RESULT
    assert "listener takes no more records: ConnectionError('the server is gone')" in capsys.readouterr().out
    assert [name for name, *_ in calls].count(fails) == 1


def test_a_sink_that_cannot_begin_stops_the_run_at_once(calls, tmp_path):
    with pytest.raises(UsageError, match="the sink 'listener' cannot begin: ConnectionError"):
        run_to_its_end(tmp_path, {"name": "listener", "fails": "begin"})
    assert not (tmp_path / "metrics.jsonl").exists()


def test_they_are_no_part_of_what_a_run_is():
    """A run goes on with other sinks, and counts as the same in the table of many."""
    config = default_config()
    assert set(LAYOUT) <= set(config)
    assert complete(config).sinks == ({"name": "tensorboard"},)
    config.sinks = ("wandb",)
    assert complete(config).sinks[0] == {"name": "wandb", "project": "jaxaug", "mode": ""}
    run = Run("", {"seed": 0, "sinks": "wandb", "sinks.wandb.mode": "offline", "epochs": 3}, {})
    assert run.rest == {"epochs": 3}


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_package_that_is_missing(monkeypatch, tmp_path, name):
    """It is told before anything is trained, with what to install."""
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(base.importlib.util, "find_spec", lambda package: None)
    with pytest.raises(UsageError, match=rf"{name} is not installed: pip install {name}, or leave out"):
        run_to_its_end(tmp_path, name)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_figures_are_numbers():
    assert base.metrics_of({"step": 1, "epoch": 1, "a": 0.5, "b": True, "c": "d"}) == {"a": 0.5}


def records_of(folder):
    """What W&B has kept in files of less than 32 kB: after 7 bytes, messages with checksum, length and kind before."""
    from wandb.proto.wandb_internal_pb2 import Record

    for file in sorted({path.resolve() for path in folder.rglob("run-*.wandb")}, key=lambda path: path.stat().st_mtime):
        content, place = file.read_bytes(), 7
        assert len(content) < 2**15
        while place < len(content):
            _, length, kind = struct.unpack_from("<IHB", content, place)
            assert kind == 1, "a whole message"
            yield Record.FromString(content[place + 7 : place + 7 + length])
            place += 7 + length


def test_wandb_offline(tmp_path):
    """Its files hold every figure of both halves of an interrupted run, under one name."""
    pytest.importorskip("wandb", reason="needs wandb: pip install -e '.[wandb]'")
    folder, sink = tmp_path / "isda" / "seed_3", {"name": "wandb", "mode": "offline", "project": "tests"}
    run_to_its_end(folder, sink, records=RECORDS[:1], result=None)
    identity = base.kept_id(folder, "wandb")
    run_to_its_end(folder, sink, records=RECORDS[1:])
    assert base.kept_id(folder, "wandb") == identity
    until = time.monotonic() + 30  # its service writes in the background, also after the run has ended
    kept = []
    while sum(one.HasField("exit") for one in kept) < 2 and time.monotonic() < until:
        time.sleep(0.05)
        kept = list(records_of(folder))
    names = {(r.run.run_id, r.run.display_name, r.run.project) for r in kept if r.HasField("run")}
    assert names == {(identity, "isda/seed_3", "tests")}
    told = [
        {i.key or "/".join(i.nested_key): i.value_json for i in r.history.item} for r in kept if r.HasField("history")
    ]
    told = [{name: json.loads(one[name]) for name in RECORDS[0]} for one in told]
    assert told == RECORDS
    summary = {i.key or "/".join(i.nested_key): i.value_json for r in kept for i in r.summary.update}
    assert json.loads(summary["test_top1"]) == 0.9


@pytest.mark.slow
def test_mlflow_in_a_file(tmp_path):
    """A file takes the place of a server; a run that goes on is the run that was begun."""
    for package in ("mlflow", "sqlalchemy"):
        pytest.importorskip(package, reason="needs mlflow: pip install -e '.[mlflow]'")
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    sink = {"name": "mlflow", "uri": uri, "experiment": "tests"}
    run_to_its_end(tmp_path / "isda" / "seed_3", sink, records=RECORDS[:1], result=None)
    client = MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("tests").experiment_id])
    assert run.info.status == "KILLED"
    run_to_its_end(tmp_path / "isda" / "seed_3", sink, records=RECORDS[1:])
    (run,) = client.search_runs([client.get_experiment_by_name("tests").experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "isda/seed_3")
    assert run.data.params["loss.isda.strength"] == "0.5"
    told = client.get_metric_history(run.info.run_id, "train_loss")
    assert [(one.step, one.value) for one in told] == [(10, 1.0), (20, 0.5)]
    assert run.data.metrics["result.test_top1"] == 0.9


def module_in_place_of(monkeypatch, name, **members):
    """A module that is imported instead of the real one, installed or not."""
    module = types.ModuleType(name)
    module.__spec__ = types.SimpleNamespace()
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def refusing(monkeypatch):
    """A wandb whose server says no."""

    def init(**options):
        raise RuntimeError("api_key not configured\nmore")

    module_in_place_of(monkeypatch, "wandb", init=init, Settings=lambda **options: None)


def test_wandb_without_a_key(refusing, tmp_path):
    with pytest.raises(UsageError, match=r"api_key not configured\. Run `wandb login`, or set WANDB_MODE=offline"):
        run_to_its_end(tmp_path, "wandb")


@pytest.fixture
def wandb_calls(monkeypatch):
    """What a wandb of the same functions is called with."""
    told = []

    class Run:
        def __init__(self, identity):
            self.id, self.summary = identity, types.SimpleNamespace(update=lambda one: told.append(("summary", one)))

        def define_metric(self, name, step_metric=None):
            told.append(("define", name, step_metric))

        def log(self, record):
            told.append(("log", record))

        def finish(self):
            told.append(("finish",))

    def init(**options):
        told.append(("init", options["id"], options["resume"], options["name"], options["project"], options["mode"]))
        return Run(options["id"] or "abc")

    module_in_place_of(monkeypatch, "wandb", init=init, Settings=lambda **options: options)
    return told


def test_what_wandb_is_told(wandb_calls, tmp_path):
    """Both halves of an interrupted run under the name of the first, each metric by its step, the result at last."""
    folder, sink = tmp_path / "isda" / "seed_3", {"name": "wandb", "project": "tests"}
    run_to_its_end(folder, sink, records=RECORDS[:1], result=None)
    run_to_its_end(folder, sink, records=RECORDS[1:])
    axis = [("define", "step", None), ("define", "*", "step")]
    first, second = (("log", {"train_loss": 1 / i, "seconds": 0.5, "step": 10 * i, "epoch": i}) for i in (1, 2))
    begun = [("init", None, None, "isda/seed_3", "tests", None), *axis, first, ("finish",)]
    again = [("init", "abc", "allow", "isda/seed_3", "tests", None), *axis, second]
    assert wandb_calls == [*begun, *again, ("summary", {"test_top1": 0.9, "seconds": 1}), ("finish",)]


class Tracking:
    """MLflow's client, as far as it is used: what it is called with."""

    def __init__(self, told):
        self._told = told

    def get_experiment_by_name(self, name):
        return types.SimpleNamespace(experiment_id="7") if name == "known" else None

    def create_experiment(self, name):
        self._told.append(("experiment", name))
        return "8"

    def create_run(self, experiment, run_name):
        self._told.append(("run", experiment, run_name))
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="r1"))

    def update_run(self, identity, status):
        if identity == "gone":
            raise ConnectionError("no such run.\nmore")
        self._told.append((status, identity))

    def log_batch(self, identity, params=(), metrics=()):
        assert len(params) <= 100, "more in one request are refused"
        self._told.append(("batch", identity, list(params), list(metrics)))

    def set_terminated(self, identity, status):
        self._told.append((status, identity))


@pytest.fixture
def mlflow_calls(monkeypatch):
    """What an MLflow of the same functions is called with; the run named "gone" is not there any more."""
    told = []

    def client(uri):
        told.append(("client", uri))
        return Tracking(told)

    def metric(key, value, timestamp, step):
        assert abs(timestamp / 1000 - time.time()) < 60, "milliseconds of this day"
        return key, value, step

    module_in_place_of(monkeypatch, "mlflow")
    module_in_place_of(monkeypatch, "mlflow.tracking", MlflowClient=client)
    module_in_place_of(monkeypatch, "mlflow.entities", Param=lambda key, value: (key, value), Metric=metric)
    return told


@pytest.mark.parametrize(("experiment", "number"), [("known", "7"), ("new", "8")])
def test_what_mlflow_is_told(mlflow_calls, tmp_path, experiment, number):
    """Config, metrics with their steps and the result, of one run in two halves; whether each came to its end."""
    sink = {"name": "mlflow", "experiment": experiment, "uri": "sqlite:///x.db"}
    run_to_its_end(tmp_path / "isda" / "seed_3", sink, records=RECORDS[:1], result=None)
    begun, mlflow_calls[:] = mlflow_calls[:], []
    made = [("experiment", "new")] if experiment == "new" else []
    assert begun[: 2 + len(made)] == [("client", "sqlite:///x.db"), *made, ("run", number, "isda/seed_3")]
    kind, identity, params, metrics = begun[2 + len(made)]
    assert (kind, identity, metrics) == ("batch", "r1", [])
    assert ("loss.isda.strength", "0.5") in params
    figures = [("train_loss", 1.0, 10), ("seconds", 0.5, 10), ("epoch", 1, 10)]
    assert begun[3 + len(made) :] == [("RUNNING", "r1"), ("batch", "r1", [], figures), ("KILLED", "r1")]
    run_to_its_end(tmp_path / "isda" / "seed_3", sink, records=RECORDS[1:])
    assert mlflow_calls[:2] == [("client", "sqlite:///x.db"), ("RUNNING", "r1")], "no second run"
    assert mlflow_calls[-2][3] == [("result.test_top1", 0.9, 0), ("result.seconds", 1, 0)]
    assert mlflow_calls[-1] == ("FINISHED", "r1")


def test_an_mlflow_run_that_is_gone(mlflow_calls, tmp_path):
    (tmp_path / "mlflow.id").write_text("gone\n")
    with pytest.raises(
        UsageError, match=r"MLflow: no such run\. Set MLFLOW_TRACKING_URI .* without .*mlflow.id a new run"
    ):
        run_to_its_end(tmp_path, {"name": "mlflow", "experiment": "known"})
