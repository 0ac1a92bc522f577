#!/usr/bin/env bash
# Critics against each other in one environment, with one seed: collects episodes of ReAct, trains
# the critics on the same ones, measures them on those that none has seen, and plays PNLC with each.
# Whatever is there is used, so it continues after an interruption.
#   bash configs/paper/critics.sh webshop|avalon|persuasion SEED [arguments of eval]
# FORETHOUGHT names the program, COLLECT the episodes that are collected, EPISODES those that each
# planner plays, STEPS the most gradient steps of goal-q and hindsight.
set -eu
forethought=${FORETHOUGHT:-forethought}
world=$1 seed=$2
shift 2
config=$(cd "$(dirname "$0")" && pwd)/critics.toml
set="--set trainer.critic.steps=${STEPS:-8000} --set trainer.hindsight.steps=${STEPS:-8000}"
case $world in
webshop) preset=quickstart collect="--first-task 400 --episodes ${COLLECT:-600}" ;;
avalon) preset=avalon collect="--first-task 1000 --episodes ${COLLECT:-300}" ;;
persuasion)
  preset=persuasion collect="--first-task 100000 --episodes ${COLLECT:-600}"
  # As the preset: what an utterance causes happens soon after it, and two outcomes are weighed.
  for one in hindsight neighbours regression; do set="$set --set trainer.$one.gamma=0.7"; done
  for one in goal-q hindsight retrieval regression ensemble constant; do
    set="$set --set planner.with-$one.outcomes=2 --set planner.with-$one.thoughts=8"
  done
  ;;
*)
  echo "the environments are webshop, avalon and persuasion, not $world" >&2
  exit 2
  ;;
esac
mkdir -p "paper/critics/$world-$seed"
cd "paper/critics/$world-$seed"
# Word by word: these are arguments.
# shellcheck disable=SC2086
{
  [ -e data ] || "$forethought" collect "$config" --preset $preset --set seed="$seed" --planner react $collect --out data
  train() {
    [ -d "$1" ] || "$forethought" train "$config" --preset $preset --set seed="$seed" $set --seat 0 \
      --trainer "$1" --data data --out "$1"
  }
  for one in critic hindsight neighbours regression; do train $one; done
  if [ ! -e measures.json ]; then
    "$forethought" critic eval "$config" --preset $preset --set seed="$seed" $set --critic critic --seat 0 \
      --against hindsight,neighbours,regression,ensemble,constant --data data --json >measures.new
    mv measures.new measures.json
  fi
  planners=react,with-goal-q,with-hindsight,with-retrieval,with-regression,with-ensemble,with-constant
  "$forethought" eval "$config" --preset $preset --set seed="$seed" $set --planner "${PLANNERS:-$planners}" \
    --episodes "${EPISODES:-60}" "$@"
}
