"""Stand-ins for srun, scontrol, gcloud and torchrun, each a program in a folder of a PATH.

python tests/helpers/clusters.py srun --kill-on-bad-exit=0 jaxaug train ...
"""

import os
import signal
import subprocess
import sys

HERE = os.path.abspath(__file__)


def install(folder, port, processes):
    """Put the programs into a folder, and give the environment of a job of so many processes that finds them."""
    folder.mkdir()
    for name in PROGRAMS:
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} {HERE} {name} "$@"\n')
        (folder / name).chmod(0o755)
    known = {"FAKE_PORT": port, "FAKE_PROCESSES": processes, "FAKE_LOG": folder / "log", "SLURM_JOB_ID": port - 61440}
    return {"PATH": f"{folder}:{os.environ['PATH']}", **{name: str(value) for name, value in known.items()}}


def srun(options, command):
    """As Slurm's: its variables, the largest exit code, signals passed on."""
    note("srun", *options)
    slurm = {"SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": COUNT, "SLURM_STEP_NUM_NODES": 1}
    return side_by_side(command, lambda i: {**slurm, "SLURM_PROCID": i, "SLURM_LOCALID": i})


def torchrun(options, command):
    """As PyTorch's, whose own store is at the port that it tells."""
    note("torchrun", *options)
    torch = {"MASTER_ADDR": "localhost", "MASTER_PORT": int(PORT) - 1, "TORCHELASTIC_USE_AGENT_STORE": True}
    torch |= {"WORLD_SIZE": COUNT, "LOCAL_WORLD_SIZE": COUNT}
    return side_by_side(command, lambda i: {**torch, "RANK": i, "LOCAL_RANK": i})


def gcloud(options, command):
    """`... ssh NAME --worker=all --command=C`: C in a shell of every host; what JAX asks a TPU host is told here."""
    note("gcloud", *command, *(one for one in options if not one.startswith("--command=")))
    (told,) = (one.partition("=")[2] for one in options if one.startswith("--command="))
    host = {"JAX_COORDINATOR_ADDRESS": f"localhost:{PORT}", "JAX_NUM_PROCESSES": COUNT}
    return side_by_side(["bash", "-c", told], lambda i: {**host, "JAX_PROCESS_ID": i})


def scontrol(options, command):
    """Only noted down."""
    note("scontrol", *options, *command)
    return 0


PROGRAMS = {"srun": srun, "torchrun": torchrun, "gcloud": gcloud, "scontrol": scontrol}


def side_by_side(command, variables):
    """The largest exit code of so many processes of the command, each with its own variables."""
    workers = [
        subprocess.Popen(command, env={**os.environ, **{name: str(value) for name, value in variables(i).items()}})
        for i in range(int(COUNT))
    ]
    signal.signal(signal.SIGTERM, lambda number, frame: [worker.send_signal(number) for worker in workers])
    return max(code if code >= 0 else 128 - code for code in (worker.wait() for worker in workers))


def note(*words):
    with open(os.environ["FAKE_LOG"], "a") as file:
        file.write(" ".join(words) + "\n")


if __name__ == "__main__":
    PORT, COUNT = os.environ["FAKE_PORT"], os.environ["FAKE_PROCESSES"]
    name, *rest = sys.argv[1:]
    split = next((i for i, word in enumerate(rest) if not word.startswith("-")), len(rest))
    options, command = rest[:split], rest[split:]
    if name == "gcloud":  # whose options stand anywhere
        options, command = ([word for word in rest if word.startswith("-") == flag] for flag in (True, False))
    sys.exit(PROGRAMS[name](options, command))
