#!/usr/bin/env bash
# A recipe as a Ray job: sent to a cluster that runs, followed until its end. The log shows progress and the funnel.
#   configs/cluster/submit.sh http://head:8265 my-recipe.yaml s3://bucket/out
# The recipe travels with the job (working_dir); sources and output are URLs, or paths that all nodes share.
set -euo pipefail
address=${1:?address of the dashboard, e.g. http://127.0.0.1:8265}
recipe=${2:?a recipe}
output=${3:?where the result goes, e.g. s3://bucket/run}
ray job submit --address "$address" --working-dir "$(dirname "$recipe")" \
  --runtime-env-json '{"env_vars": {"PYTHONUNBUFFERED": "1"}}' \
  -- curate run "$(basename "$recipe")" --config ray --output "$output"
