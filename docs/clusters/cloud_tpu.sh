#!/bin/bash
# docs/clusters/cloud_tpu.sh NAME ZONE --config=isda_cifar --workdir=/shared/runs/one
# Runs the command on every host of a TPU slice that is there:
#   gcloud compute tpus tpu-vm create NAME --zone=ZONE --accelerator-type=v5litepod-16 --version=v2-alpha-tpuv5-lite
#   gcloud compute tpus tpu-vm ssh NAME --zone=ZONE --worker=all --command="pip install 'jax[tpu]' jaxaug"
set -eu
name=$1 zone=$2
shift 2
command="JAXAUG_DISTRIBUTED=1 ${JAXAUG:-jaxaug train} $(printf '%q ' "$@")"

# 3: stopped as asked, and saved, as before a host is taken away. 4 and 134: a host was lost. It goes on from there.
for attempt in $(seq "${MAX_RESTARTS:-20}"); do
  code=0
  gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$command" || code=$?
  case $code in
    3 | 4 | 134) sleep "${PAUSE:-60}" ;;
    *) exit "$code" ;;
  esac
done
exit "$code"
