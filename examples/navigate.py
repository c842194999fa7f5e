"""From perception to decision: a simulated robot learns from a planner's demonstrations, and then finds its way itself.

    python examples/navigate.py --output runs/navigation

Prints the share of 300 new worlds in which the goal is reached in time, for the planner (which sees the map), the learnt
policy, a rule and a robot that wanders. Takes a few minutes on two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from textome.modalities.navigation import ACTIONS, Policy, rule, success_rate, wander, write_demonstrations
from textome.modalities.records import Floats
from textome.runtime.export import export_bundle
from textome.runtime.modality_bundle import ModalityBundle
from textome.runtime.predictor import Predictor
from textome.training.kinds import plan_run

RECIPE = Path(__file__).resolve().parent.parent / "recipes" / "modalities" / "navigation.toml"
WINDOW = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/navigation"))
    parser.add_argument("--demonstrations", type=int, default=1500, help="worlds in which the planner shows the way")
    parser.add_argument("--worlds", type=int, default=300, help="new worlds to try in")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    moments = write_demonstrations(options.output / "navigation.csv", options.demonstrations, options.seed, WINDOW)
    print(f"{moments:,} moments of {options.demonstrations:,} ways", flush=True)
    overrides = [f"data.root={options.output.resolve()}", f"training.seed={options.seed}", *options.overrides]
    bundle = plan_run(RECIPE, overrides).start(options.output / "run", False, lambda record: None)
    export_bundle(ModalityBundle.load(bundle), bundle, "fp32")
    learnt = policy_of(Predictor.load(bundle, threads=1))
    for name, policy in (("learnt policy", learnt), ("rule", rule), ("wandering", wander)):
        rate = success_rate(policy, options.worlds, seed=options.seed + 1000)
        print(f"{name:16} reaches the goal in {100 * rate:5.1f} % of {options.worlds} new worlds", flush=True)


def policy_of(predictor: Predictor) -> Policy:
    """The model's most probable action after its last WINDOW moments."""
    labels = predictor.bundle.target.labels

    def act(sensed: Floats, generator: np.random.Generator) -> int:
        answer = predictor.answer([sensed[-WINDOW:]])[0]
        return ACTIONS.index(labels[int(generator.choice(len(labels), p=sharpened(answer)))])

    return act


def sharpened(answer: Floats) -> np.ndarray:
    """Squared probabilities: mostly the best action, and now and then another, which ends a walk in circles."""
    squares = answer.astype(np.float64) ** 2
    return squares / squares.sum()


if __name__ == "__main__":
    main()
