"""The command in processes of its own: run, killed, two at once."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import time

from helpers.settings import QUICK, ROOT


def command(*arguments):
    return [sys.executable, "main.py", "--noreport", *arguments]


def environment(devices=1, **variables):
    return {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{QUICK} --xla_force_host_platform_device_count={devices}",
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".pytest_cache" / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3",
        **variables,
    }


def run(*arguments, **options):
    return subprocess.run(
        command(*arguments), cwd=ROOT, env=environment(**options), capture_output=True, text=True, timeout=300
    )


def kill(arguments, workdir, log, devices=1):
    """Run the command, killed at a random moment after a new record of the file `log`; False if it ended before."""
    process = subprocess.Popen(
        command(*arguments, f"--workdir={workdir}"),
        cwd=ROOT,
        env=environment(devices),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    # Wait until it works (a new record or, for the first seconds, anything), then a random moment more.
    before = log.stat().st_size if log.exists() else 0
    while process.poll() is None and (log.stat().st_size if log.exists() else 0) == before:
        time.sleep(0.01)
    time.sleep(random.random() * 0.2)
    killed = process.poll() is None
    process.kill()
    process.wait()
    return killed


def kill_and_resume(arguments, folder, log, times=2):
    """Run the command, killed some times, each time after a new record of `log`, and then to its end."""
    for _ in range(times):
        assert kill(arguments, folder, folder / "convnet" / "seed_0" / log), "it ended before it could be killed"
    assert run(*arguments, f"--workdir={folder}").returncode == 0


def free_port(among=(0,)):
    """A port that nobody listens at; 0 for any."""
    for port in among:
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return free.getsockname()[1]
    raise OSError("no port is free")


def start(arguments, number, count, port, devices, **variables):
    """Process `number` of `count` of the command, its output in one stream."""
    return subprocess.Popen(
        command(*arguments, f"--num_processes={count}", f"--process_id={number}"),
        cwd=ROOT,
        env=environment(devices, JAX_COORDINATOR_ADDRESS=f"127.0.0.1:{port}", **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def several(count, *arguments, devices=1):
    """`count` processes of the command, begun."""
    port = free_port()
    return [start(arguments, number, count, port, devices) for number in range(count)]


def ended(workers, codes):
    """What processes print; each must end with one of the codes."""
    printed = [worker.communicate(timeout=300)[0] for worker in workers]
    assert all(worker.returncode in codes for worker in workers), [
        (w.returncode, p) for w, p in zip(workers, printed, strict=True)
    ]
    return printed


def two_processes(*arguments):
    """What two processes of two devices each print, gloo between them; both have to end well."""
    return ended(several(2, *arguments, devices=2), (0,))
