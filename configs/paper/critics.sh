#!/usr/bin/env bash
# Critics against each other in one environment, with one seed: collects episodes of ReAct, trains
# the critics on the same ones, measures them on those that none has seen, and plays PNLC with each.
# Whatever is there is used, so it continues after an interruption.
#   bash configs/paper/critics.sh webshop|avalon|persuasion SEED [arguments of eval]
# FORETHOUGHT names the program, COLLECT the episodes that are collected, EPISODES those that each
# planner plays, CRITICS the critics besides goal-q.
set -eu
forethought=${FORETHOUGHT:-forethought}
world=$1 seed=$2
shift 2
config=$(cd "$(dirname "$0")" && pwd)/critics.toml
set=
case $world in
webshop) preset=quickstart collect="--first-task 400 --episodes ${COLLECT:-600}" ;;
avalon) preset=avalon collect="--first-task 1000 --episodes ${COLLECT:-300}" ;;
persuasion)
  preset=persuasion collect="--first-task 100000 --episodes ${COLLECT:-600}"
  # As the preset: what an utterance causes happens soon after it, and two outcomes are weighed.
  for one in hindsight neighbours regression; do set="$set --set trainer.$one.gamma=0.7"; done
  for one in goal-q hindsight retrieval regression ensemble shuffled constant; do
    set="$set --set planner.with-$one.outcomes=2 --set planner.with-$one.thoughts=8"
  done
  ;;
*)
  echo "the environments are webshop, avalon and persuasion, not $world" >&2
  exit 2
  ;;
esac
critics=${CRITICS:-hindsight neighbours regression}
mkdir -p "paper/critics/$world-$seed"
cd "paper/critics/$world-$seed"
# Word by word: these are arguments.
# shellcheck disable=SC2086
{
  [ -e data ] || "$forethought" collect "$config" --preset $preset --set seed="$seed" --planner react $collect --out data
  train() { # TRAINER FOLDER [ARGUMENT...]
    local trainer=$1 out=$2
    shift 2
    [ -d "$out" ] || "$forethought" train "$config" --preset $preset --set seed="$seed" $set --seat 0 \
      --trainer "$trainer" --data data --out "$out" "$@"
  }
  train critic critic
  train critic critic-shuffled --shuffle-outcomes
  for one in $critics; do train "$one" "$one"; done
  against=$(echo $critics ensemble shuffled constant | tr ' ' ,)
  [ -e measures.json ] || "$forethought" critic eval "$config" --preset $preset --set seed="$seed" $set \
    --critic critic --against "$against" --seat 0 --data data --json >measures.json
  planners=react,with-goal-q,with-hindsight,with-retrieval,with-regression,with-ensemble,with-shuffled,with-constant
  "$forethought" eval "$config" --preset $preset --set seed="$seed" $set --planner "${PLANNERS:-$planners}" \
    --episodes "${EPISODES:-60}" "$@"
}
