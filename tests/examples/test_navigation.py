"""The simulated robot: worlds from seeds, a planner that arrives, and demonstrations that a model can read."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from navigation import ACTIONS, CHANNELS, World, rule, success_rate, wander, write_demonstrations

from textome.formats.reading.sources import Quarantine
from textome.inputs.sensors import Sensors


def test_the_planner_takes_a_shortest_way():
    for seed in range(10):
        world = World.drawn(np.random.default_rng(seed))
        steps = int(world.steps[world.position])
        assert steps >= 6
        for left in range(steps, 0, -1):
            assert world.steps[world.position] == left
            world.move(world.best())
            assert not world.bumped
        assert world.arrived


def test_the_robot_senses_walls_bumps_and_its_goal():
    walls = np.pad(np.zeros((5, 5), bool), 1, constant_values=True)
    walls[1, 3] = True
    world = World(walls, (1, 2), (4, 4), np.zeros(walls.shape, np.int64))
    generator = np.random.default_rng(0)
    north, _, east, _, south, *_ = world.sensed(generator)
    np.testing.assert_allclose([north, east, south], [0, 0, 4], atol=0.5)
    assert world.sensed(generator)[8:11].tolist() == [3, 2, 0]
    world.move(ACTIONS.index("east"))
    assert world.position == (1, 2)
    assert world.sensed(generator)[10:].tolist() == [1, 0, 1, 0, 0]
    world.move(ACTIONS.index("south"))
    assert (world.position, world.bumped) == ((2, 2), False)


def test_the_rule_is_better_than_wandering_and_rates_repeat():
    assert success_rate(rule, 12, seed=1) == success_rate(rule, 12, seed=1)
    assert success_rate(rule, 12, seed=1) > success_rate(wander, 12, seed=1)


def test_whoever_drives_the_planner_tells_what_to_do(tmp_path: Path):
    seen = []

    def standing(sensed, generator):
        """Walks against the same wall, or to and fro."""
        seen.append(len(sensed))
        return [0] * len(sensed)

    path = tmp_path / "ways.csv"
    count = write_demonstrations(path, 2, seed=5, window=3, steps=9, errors=0.0, driver=standing)
    assert seen == [2] * 9
    records = list(Sensors(window=3).read(str(path), Quarantine()))
    assert len(records) == count == 18
    assert {record.target for record in records} - {"north"}


def test_demonstrations_are_signals_with_the_planners_next_action(tmp_path: Path):
    path = tmp_path / "ways.csv"
    count = write_demonstrations(path, 3, seed=2, window=4, errors=0.0)
    records = list(Sensors(window=4).read(str(path), Quarantine()))
    assert len(records) == count == sum(int(world.steps[world.position]) for world in _worlds(3, 2))
    assert records[0].content.shape == (1, len(CHANNELS))
    assert {record.target for record in records} <= set(ACTIONS)
    # The planner's action at a moment is what the robot did before the next one.
    for one, two in pairwise(records):
        if one.id.split("/")[0] == two.id.split("/")[0]:
            assert ACTIONS[int(two.content[-1, -4:].argmax())] == one.target


def _worlds(count: int, seed: int) -> list[World]:
    return [World.drawn(np.random.default_rng([seed, episode])) for episode in range(count)]
