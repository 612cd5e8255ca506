#!/bin/bash
# On every host: HEAD=host0:29500 NODES=2 docs/clusters/torchrun.sh --config=isda_cifar --workdir=/shared/runs/one
# torchrun starts a process for each GPU, and all of them again if one is lost, then on as many hosts as there are.
export JAXAUG_DISTRIBUTED=1
exec torchrun --nnodes="${NODES:-1}" --nproc-per-node="${GPUS:-8}" --rdzv-backend=c10d --rdzv-id="${RUN:-jaxaug}" \
  --rdzv-endpoint="${HEAD:-localhost:29500}" --max-restarts="${MAX_RESTARTS:-20}" --no-python ${JAXAUG:-jaxaug train} "$@"
