"""From perception to decision: a simulated robot learns from a planner's demonstrations, and then finds its way itself.

    python examples/navigate.py --output runs/navigation

Prints the share of 300 new worlds in which the goal is reached in time, for the learnt policy, a rule and a robot that
wanders. The policy learns in rounds: first from ways that the planner took, which sees the map, then also from ways that it
took itself, with what the planner would have done there. Takes some minutes on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from navigation import ACTIONS, Policy, rule, success_rate, wander, write_demonstrations

from textome.inputs.records import Floats
from textome.runtime.bundle import Bundle
from textome.runtime.export import export_bundle
from textome.runtime.predictor import Predictor
from textome.training.kinds import plan_run

RECIPE = Path(__file__).resolve().parent.parent / "recipes" / "modalities" / "navigation.toml"
WINDOW = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/navigation"))
    parser.add_argument("--demonstrations", type=int, default=1000, help="worlds in which the planner shows the way")
    parser.add_argument("--rounds", type=int, default=1, help="rounds in which the policy drives and is told better")
    parser.add_argument("--worlds", type=int, default=300, help="new worlds to try in")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    ways = options.output / "ways"
    ways.mkdir(parents=True, exist_ok=True)
    moments = write_demonstrations(ways / "planner.csv", options.demonstrations, options.seed, WINDOW)
    print(f"{moments:,} moments of {options.demonstrations:,} ways", flush=True)
    learnt = _trained(options, 0)
    for number in range(1, options.rounds + 1):
        _tell(f"policy {number - 1}", learnt, options)
        moments = write_demonstrations(
            ways / f"policy-{number}.csv", options.demonstrations, options.seed + number, WINDOW, driver=learnt
        )
        print(f"{moments:,} moments of ways on which the policy drove", flush=True)
        learnt = _trained(options, number)
    for name, policy in ((f"policy {options.rounds}", learnt), ("rule", rule), ("wandering", wander)):
        _tell(name, policy, options)


def _trained(options: argparse.Namespace, number: int) -> Policy:
    """The policy that all ways so far teach."""
    overrides = [f"data.root={options.output.resolve()}", f"training.seed={options.seed}", *options.overrides]
    run = plan_run(RECIPE, overrides)
    bundle = run.start(options.output / f"run-{number}", False, lambda record: None)
    export_bundle(Bundle.load(bundle), bundle, "fp32")
    return policy_of(Predictor.load(bundle))


def _tell(name: str, policy: Policy, options: argparse.Namespace) -> None:
    rate = success_rate(policy, options.worlds, seed=options.seed + 1000)
    print(f"{name:12} reaches the goal in {100 * rate:5.1f} % of {options.worlds} new worlds", flush=True)


def policy_of(predictor: Predictor) -> Policy:
    """Actions drawn by the squares of the model's probabilities after the last WINDOW moments: mostly the best one, and now
    and then another, which ends a walk in circles."""
    labels = predictor.bundle.target.labels

    def act(sensed: Sequence[Floats], generator: np.random.Generator) -> list[int]:
        squares = predictor.answer([moments[-WINDOW:] for moments in sensed]).astype(np.float64) ** 2
        return [ACTIONS.index(labels[int(generator.choice(len(labels), p=row / row.sum()))]) for row in squares]

    return act


if __name__ == "__main__":
    main()
