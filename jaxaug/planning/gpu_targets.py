"""NVIDIA GPUs as XLA's compiler wants them described: as text of its GpuTargetConfigProto."""

from __future__ import annotations

from typing import Any

# Of all compute capabilities here: CUDA C++ Programming Guide, technical specifications.
_LIMITS = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 48 * 1024,
    "threads_per_core_limit": 2048,
    "registers_per_core_limit": 65536,
    "registers_per_block_limit": 65536,
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 65535,
    "block_dim_limit_z": 65535,
    "thread_dim_limit_x": 1024,
    "thread_dim_limit_y": 1024,
    "thread_dim_limit_z": 64,
}


def _described(name: str, capability: tuple[int, int], **limits: Any) -> str:
    """The description of a GPU by its compute capability and data sheet."""
    major, minor = capability
    lines = [f"  {key}: {value}" for key, value in {**_LIMITS, **limits}.items()]
    lines += [f"  cuda_compute_capability {{ major: {major} minor: {minor} }}"]
    lines = ["gpu_device_info {", *lines, "}", 'platform_name: "CUDA"', f'device_description_str: "{name}"']
    return "\n".join([*lines, "dnn_version_info { major: 9 minor: 8 patch: 0 }"])


# Multiprocessors, float units, kB of shared memory and of second-level cache, boost clock, memory: the white papers of
# the Ampere and Hopper architectures.
GPU_TARGETS = {
    "a100": _described(
        "NVIDIA A100-SXM4-80GB",
        (8, 0),
        core_count=108,
        fpus_per_core=64,
        shared_memory_per_core=164 * 1024,
        shared_memory_per_block_optin=163 * 1024,
        l2_cache_size=40 * 2**20,
        clock_rate_ghz=1.41,
        memory_bandwidth=2039 * 10**9,
        device_memory_size=80 * 10**9,
    ),
    "h100": _described(
        "NVIDIA H100 80GB HBM3",
        (9, 0),
        core_count=132,
        fpus_per_core=128,
        shared_memory_per_core=228 * 1024,
        shared_memory_per_block_optin=227 * 1024,
        l2_cache_size=50 * 2**20,
        clock_rate_ghz=1.98,
        memory_bandwidth=3350 * 10**9,
        device_memory_size=80 * 10**9,
    ),
}
