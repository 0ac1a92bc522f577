#!/usr/bin/env bash
# The critic on held-out real dialogues, for docs/persuasion-real-data.md: after a quarter, half, three quarters and all of a
# dialogue, will something be given, and, by those who give, half a dollar or more? Needs jq.
#   environments/persuasion/scripts/real.sh target/release/forethought $FORETHOUGHT_DATA/p4g runs/real
set -euo pipefail
program=$1 data=$2 out=$3
config=persuasion
mkdir -p "$out"
"$program" import p4g "$data" --out "$out/p4g" --quiet
for question in whether much; do
  case $question in
    whether) keep='true' answer='if .reward > 0 then "The donor gives something." else "The donor gives nothing." end' ;;
    much) keep='.steps[-1].reward > 0' answer='if .reward >= 0.25 then "The donor gives half a dollar or more." else "The donor gives less." end' ;;
  esac
  # The state after the donor's last words is the last next_state without what was given in the end.
  mkdir -p "$out/$question/all"
  jq -c "select(.seat == 0 and ($keep)) | (.steps[-1] | $answer) as \$answer
    | (.steps[-1].next_state | sub(\"^The donor gave [^ ]* ?\"; \"Near the end. \")) as \$last
    | .steps[-1].next_state = \$last | .steps += [.steps[-1] + {state: \$last}]
    | .steps |= map(. + {thought: \"\", outcomes: [], reward: 0, terminated: false})
    | .steps[-1] += {outcomes: [\$answer], terminated: true}" "$out/p4g/trajectories.jsonl" > "$out/$question/all/trajectories.jsonl"
  for share in 0.25 0.5 0.75 1; do
    mkdir -p "$out/$question/$share"
    jq -c --argjson share $share '.steps[-1].outcomes as $answer | .steps |= [.[((length - 1) * $share | round)] + {outcomes: $answer, terminated: true}]' \
      "$out/$question/all/trajectories.jsonl" > "$out/$question/$share/trajectories.jsonl"
  done
  for seed in 1 2 3; do
    set -- --set seed=$seed
    "$program" train $config --trainer real --data "$out/$question/all" "$@" --out "$out/$question/critic-$seed" --quiet
    for share in 0.25 0.5 0.75 1; do
      "$program" critic eval $config --encoder hash --data "$out/$question/$share" --model "$out/$question/critic-$seed" "$@" --json --quiet \
        > "$out/$question-$share-$seed.json"
    done
  done
done
