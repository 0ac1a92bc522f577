#!/usr/bin/env bash
# One of the tables in this folder for one environment: collects episodes of ReAct, trains the
# critics, evaluates. Whatever is there is used, so it continues after an interruption.
#   bash configs/paper/table.sh table-1|ablation webshop|avalon|persuasion [arguments of eval]
# FORETHOUGHT names the program, EPISODES how many episodes are collected.
set -eu
forethought=${FORETHOUGHT:-forethought}
table=$1 world=$2
shift 2
config=$(cd "$(dirname "$0")" && pwd)/$table.toml
search=lats-5,lats-5-unseen,lats-30,agent-q-5,agent-q-30
# Who plays the other seats in the copies of a search. As with the strategists' `others`, these are
# the players of the world itself, which is more than a player can know.
others_are=
case $world in
webshop)
  preset=quickstart collect="--first-task 400 --episodes ${EPISODES:-600} --set run.repeats=3" train=
  others=reflexion,$search
  ;;
avalon)
  preset=avalon collect="--first-task 1000 --episodes ${EPISODES:-2500}" train="--seat 0"
  others=$search,strategist-5,strategist-30 others_are=naive
  ;;
persuasion)
  preset=persuasion collect="--first-task 100000 --episodes ${EPISODES:-5000}" train="--seat 0 --trainer critic"
  others=$search,gdp-zero-5,gdp-zero-30 others_are=donor
  ;;
*)
  echo "the environments are webshop, avalon and persuasion, not $world" >&2
  exit 2
  ;;
esac
case $table in
table-1) planners=react,react-vote,act,best-of-5,self-plan,pnlc,pnlc-compare,pnlc-scalar,pnlc-shuffled,pnlc-random,$others ;;
*) planners=pnlc,react,best-of-5,self-plan,pnlc-scalar,pnlc-accept,pnlc-recorded,pnlc-confident,pnlc-compare,imagine-only,pnlc-shuffled,pnlc-random ;;
esac
if [ "$table" = table-1 ] && [ -n "$others_are" ]; then
  for planner in ${search//,/ }; do set -- "$@" --set "planner.$planner.others=$others_are"; done
fi
mkdir -p "paper/$world"
cd "paper/$world"
# Word by word: these are arguments.
# shellcheck disable=SC2086
{
  "$forethought" collect "$config" --preset $preset --planner react $collect --out data
  [ -d critic ] || "$forethought" train "$config" --preset $preset --data data $train --out critic
  [ -d critic-shuffled ] ||
    "$forethought" train "$config" --preset $preset --data data $train --out critic-shuffled --shuffle-outcomes
  "$forethought" eval "$config" --preset $preset --planner "${PLANNERS:-$planners}" --svg "$table.svg" "$@"
}
