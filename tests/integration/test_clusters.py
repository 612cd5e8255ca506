"""The scripts of docs/clusters, with stand-ins for what starts processes there; runs that lose processes and go on."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest
import yaml
from helpers import clusters
from helpers.processes import ended, environment, free_port, run, several
from helpers.run_state import assert_same, final_state
from helpers.settings import ROOT, module_of

SCRIPTS = ROOT / "docs" / "clusters"
ARGUMENTS = ["--config=isda_cifar", "--config.model.widths=(8, 16)"]
TELLS = (
    "import json, os, sys; names = ('JAXAUG_DISTRIBUTED', 'JAX_PROCESS_ID', 'RANK', 'MASTER_PORT'); "
    "told = [sys.argv[1:], {name: os.environ[name] for name in names if name in os.environ}]; "
    "sys.stdout.write(json.dumps(told) + '\\n'); "
    "sys.exit(int(os.environ.get('CODE', 0)))"
)
JOINS = f"{sys.executable} tests/helpers/joined.py"
TRAIN = f"{sys.executable} main.py"
SMOKE = ("--config=configs/smoke.py", "--config.model.widths=(8, 16)", "--config.data.validation_size=0")
LOST = {4, 134, 137, -signal.SIGABRT}  # told by jaxaug, or by JAX, which aborts


@pytest.fixture
def submit(tmp_path):
    """submit(script, *arguments) -> (exit code, what was printed by line, what the stand-ins were told)."""
    folder, tells = tmp_path / "programs", tmp_path / "tells.py"
    # The range of which JAX takes a port by the number of a Slurm job.
    port = free_port(random.sample(range(61441, 65536), 50))
    tells.write_text(TELLS)

    def of(script, *arguments, processes=2, program=f"{sys.executable} {tells}", **variables):
        known = clusters.install(folder, port, processes) | {"JAXAUG": program, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            ["bash", SCRIPTS / script, *arguments],
            cwd=ROOT,
            env=environment(**known, **variables),
            capture_output=True,
            text=True,
            timeout=500,
        )
        return done.returncode, sorted(done.stdout.splitlines()), (folder / "log").read_text().splitlines()

    return of


@pytest.mark.parametrize("code", [0, 2, 3])
def test_slurm_is_asked_again_after_a_stop(submit, code):
    """Not after a mistake, and not for ever."""
    found, printed, noted = submit("slurm.sbatch", *ARGUMENTS, CODE=str(code))
    assert found == code
    assert [json.loads(line)[0] for line in printed] == [ARGUMENTS] * 2
    assert noted[0] == "srun --kill-on-bad-exit=0"
    assert [line.split()[:2] for line in noted[1:]] == ([["scontrol", "requeue"]] if code == 3 else [])


def test_slurm_is_not_asked_for_ever(submit):
    assert submit("slurm.sbatch", CODE="4", SLURM_RESTART_COUNT="20")[2] == ["srun --kill-on-bad-exit=0"]


def test_slurm_processes_meet(submit):
    """JAX's own detection and coordinator, in two real processes."""
    code, printed, _ = submit("slurm.sbatch", *ARGUMENTS, program=JOINS)
    assert code == 0
    told = [line for line in printed if line.startswith("process")]
    assert told == [f"process {i} of 2: True {ARGUMENTS}" for i in range(2)]


def test_torchrun(submit):
    code, printed, noted = submit("torchrun.sh", *ARGUMENTS, NODES="1", GPUS="2")
    assert code == 0
    assert "--nnodes=1 --nproc-per-node=2" in noted[0]
    assert "--no-python" in noted[0]
    for number, line in enumerate(printed):
        arguments, known = json.loads(line)
        assert arguments == ARGUMENTS
        assert (known["RANK"], known["JAXAUG_DISTRIBUTED"]) == (str(number), "1")


@pytest.mark.parametrize(("code", "times"), [(0, 1), (2, 1), (3, 2)])
def test_cloud_tpu_goes_on_after_a_stop(submit, code, times):
    """Arguments with blanks arrive whole on every host."""
    found, printed, noted = submit(
        "cloud_tpu.sh", "name", "zone", *ARGUMENTS, CODE=str(code), PAUSE="0", MAX_RESTARTS="2"
    )
    assert found == code
    assert [json.loads(line)[0] for line in printed] == [ARGUMENTS] * 2 * times
    assert {json.loads(line)[1]["JAXAUG_DISTRIBUTED"] for line in printed} == {"1"}
    assert noted == ["gcloud compute tpus tpu-vm ssh name --zone=zone --worker=all"] * times


def jobset():
    """(spec of the pod, of its job, of the set) of the manifest."""
    spec = yaml.safe_load((SCRIPTS / "jobset.yaml").read_text())
    (job,) = spec["spec"]["replicatedJobs"]
    return job["template"]["spec"]["template"]["spec"], job, spec


def test_jobset():
    """As many processes as pods, the first pod's name and port, the command's own arguments; a mistake is final."""
    pod, job, spec = jobset()
    (container,) = pod["containers"]
    given = {one["name"]: one.get("value") for one in container["env"]}
    host, port = given["JAX_COORDINATOR_ADDRESS"].split(":")
    name = spec["metadata"]["name"]
    assert host == f"{name}-{job['name']}-0-0.{name}"
    assert int(port) == container["ports"][0]["containerPort"]
    settings = job["template"]["spec"]
    assert int(given["JAX_NUM_PROCESSES"]) == settings["parallelism"] == settings["completions"]
    assert settings["completionMode"] == "Indexed"
    assert settings["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [2]
    assert container["command"][:2] == ["jaxaug", "train"]


def figures(folder):
    """The records of a run, without what a clock says."""
    lines = (folder / "convnet" / "seed_0" / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(x).items() if k not in ("seconds", "images_per_second")} for x in lines]


def assert_same_run(one, other, epochs):
    """Within 1e-6 the figures of evaluations, and those of the training in the last epoch; and the parameters.

    In an epoch that was stopped, the training's figures are those of the steps since.
    """
    found, expected = figures(one), figures(other)
    assert [r["step"] for r in found] == [r["step"] for r in expected] == [21 * n for n in range(1, epochs + 1)]
    for a, b in zip(found, expected, strict=True):
        assert a.keys() == b.keys()
        compared = [name for name in a if name.startswith("test_") or a is found[-1]]
        assert [a[name] for name in compared] == pytest.approx([b[name] for name in compared], abs=1e-6)
    config = module_of("smoke").get_config()
    config.update({"model": {"widths": (8, 16)}, "data": {"validation_size": 0}, "epochs": epochs})
    found, expected = (final_state(folder / "convnet" / "seed_0", config) for folder in (one, other))
    # A value on the other side of a ReLU's corner changes a derivative, and the momentum with it, by more.
    assert_same(*({k: v for k, v in s.items() if k.startswith(".params")} for s in (found, expected)), tolerance=1e-4)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Five epochs of one process with four devices."""
    folder = tmp_path_factory.mktemp("alone")
    done = run(*SMOKE, "--config.epochs=5", f"--workdir={folder}", devices=4)
    assert done.returncode == 0, done.stderr
    return folder


def _after(workers, folder, records):
    """Wait until the run has so many records."""
    log = folder / "convnet" / "seed_0" / "metrics.jsonl"
    while not log.exists() or len(log.read_text().splitlines()) < records:
        assert all(worker.poll() is None for worker in workers), [worker.communicate() for worker in workers]
        time.sleep(0.01)


@pytest.mark.fault(
    "SIGKILL of one of four processes, then SIGTERM to one of two",
    "the others stop within 60 s, with 4 and 3; with two processes, then one, the run goes on to the same losses",
)
@pytest.mark.slow
def test_processes_are_lost_and_stopped_and_the_run_goes_on(alone, tmp_path):
    arguments = (*SMOKE, "--config.epochs=5", "--config.save_every=1", f"--workdir={tmp_path}")
    four = several(4, *arguments)
    _after(four, tmp_path, 1)
    four[2].kill()
    for worker in four:
        worker.wait(timeout=60)
    printed = ended(four, LOST | {-signal.SIGKILL})
    assert any("another process of this run is gone" in text for text in printed), printed
    two = several(2, *arguments)
    _after(two, tmp_path, len(figures(tmp_path)) + 1)
    two[1].terminate()
    printed = ended(two, {3})
    assert "stopped as asked" in printed[0]
    assert "stopped as asked" not in printed[1]
    assert run(*arguments, devices=4).returncode == 0
    assert_same_run(tmp_path, alone, 5)


@pytest.mark.slow
def test_slurm_job_of_four_processes(alone, submit, tmp_path):
    """The losses of one process; the table is printed once."""
    arguments = (*SMOKE, "--config.epochs=5", f"--workdir={tmp_path}/run")
    code, printed, _ = submit("slurm.sbatch", *arguments, processes=4, program=TRAIN)
    assert code == 0
    assert sum("everything else:" in line for line in printed) == 1
    assert_same_run(tmp_path / "run", alone, 5)
