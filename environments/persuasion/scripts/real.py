"""Tables and a figure from what real.sh wrote: real.py FOLDER FIGURE.svg. Standard library only."""
import json, sys
from pathlib import Path

folder, figure = Path(sys.argv[1]), Path(sys.argv[2])
SHARES = ["0.25", "0.5", "0.75", "1"]
COLOURS = {"critic": "#0b6e99", "base rate": "#999999", "logistic regression": "#c4621d"}
TITLES = {"whether": "Is something given?", "much": "Half a dollar or more, by those who give?"}


def mean(values):
    return sum(values) / len(values)


def pooled(question, share):
    """For each predictor and measure: the mean over the seeds of the value and of its interval's ends."""
    runs = [json.loads((folder / f"{question}-{share}-{seed}.json").read_text()) for seed in (1, 2, 3)]
    named = lambda run: {one["name"]: one for one in run["predictors"]}
    cell = lambda name, measure: [mean([named(run)[name][measure][end] for run in runs]) for end in ("value", "low", "high")]
    return {name: {measure: cell(name, measure) for measure in ("auc", "brier")} for name in COLOURS}, runs[0]["evaluated"]


svg = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 320" font-family="sans-serif" font-size="12">',
       '<rect width="760" height="320" fill="white"/>']
for panel, question in enumerate(TITLES):
    left, top, width, height = 50 + 370 * panel, 40, 310, 220
    at = lambda share: left + width * (float(share) - 0.15) / 0.95
    up = lambda auc: top + height * (0.9 - auc) / 0.6
    svg.append(f'<text x="{left}" y="24" font-weight="bold">{TITLES[question]}</text>')
    for tick in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        svg.append(f'<line x1="{left}" x2="{left + width}" y1="{up(tick):.1f}" y2="{up(tick):.1f}" stroke="#dddddd"/>')
        svg.append(f'<text x="{left - 8}" y="{up(tick) + 4:.1f}" text-anchor="end">{tick}</text>')
    for share in SHARES:
        svg.append(f'<text x="{at(share):.1f}" y="{top + height + 18}" text-anchor="middle">{float(share):.0%}</text>')
    cells = {share: pooled(question, share) for share in SHARES}
    print(f"\n{TITLES[question]} ({cells['1'][1]} held-out dialogues a seed)\n")
    print("| of the dialogue | predictor | AUC | Brier |\n|---|---|---|---|")
    for share in SHARES:
        for name, row in cells[share][0].items():
            text = " | ".join("{:.3f} ({:.3f}–{:.3f})".format(*row[measure]) for measure in ("auc", "brier"))
            print(f"| {float(share):.0%} | {name} | {text} |")
    for shift, (name, colour) in enumerate(COLOURS.items()):
        points = []
        for share in SHARES:
            value, low, high = cells[share][0][name]["auc"]
            x = at(share) + 5 * (shift - 1)
            points.append(f"{x:.1f},{up(value):.1f}")
            svg.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{up(low):.1f}" y2="{up(high):.1f}" stroke="{colour}"/>')
            svg.append(f'<circle cx="{x:.1f}" cy="{up(value):.1f}" r="3" fill="{colour}"/>')
        svg.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
for place, (name, colour) in enumerate(COLOURS.items()):
    svg.append(f'<circle cx="{200 + 150 * place}" cy="302" r="4" fill="{colour}"/><text x="{210 + 150 * place}" y="306">{name}</text>')
svg.append('<text x="50" y="306">AUC, 95 %</text></svg>')
figure.write_text("\n".join(svg) + "\n")
