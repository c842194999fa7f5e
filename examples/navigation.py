"""A small simulated robot that finds its way: from what it senses to what it does, for policies trained by imitation.

The world is a square of cells, some of them walls. The robot senses the free cells in eight directions, noisily and not
far, and where its goal lies; it does not see the map. A planner that does see it (shortest paths) shows what to do; what it
shows is written as a CSV of signals, from which a model over `sensors` learns. Everything is drawn from seeds.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textome.formats.reading.sources import atomic_file
from textome.inputs.records import Floats

ACTIONS = ("north", "east", "south", "west")
_MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))
_BEAMS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
_REACH = 4
_NOISE = 0.1
CHANNELS = (
    *(f"range_{number}" for number in range(len(_BEAMS))),
    *("goal_down", "goal_right", "bumped"),
    *(f"did_{name}" for name in ACTIONS),
)

# What robots do next, numbers of ACTIONS, from all that each has sensed so far, (moments, channels).
Policy = Callable[[Sequence[Floats], np.random.Generator], Sequence[int]]


@dataclass
class World:
    """Walls (side, side) bool, the robot's cell and the goal's, and the steps to the goal from every cell (-1: none)."""

    walls: NDArray[np.bool_]
    position: tuple[int, int]
    goal: tuple[int, int]
    steps: NDArray[np.int64]
    last: int = -1
    bumped: bool = False

    @classmethod
    def drawn(cls, generator: np.random.Generator, side: int = 12, density: float = 0.3) -> World:
        """A world with a way of at least `side` / 2 steps to its goal."""
        while True:
            walls = np.pad(generator.random((side, side)) < density, 1, constant_values=True)
            free = np.argwhere(~walls)
            if len(free) < 2:
                continue
            start, goal = (
                (int(row), int(column)) for row, column in free[generator.choice(len(free), 2, replace=False)]
            )
            steps = _steps_to(walls, goal)
            if steps[start] >= side // 2:
                return cls(walls, start, goal, steps)

    def sensed(self, generator: np.random.Generator) -> Floats:
        """(channels,) what the robot senses now."""
        ranges = []
        for down, right in _BEAMS:
            free = 0
            while (
                free < _REACH
                and not self.walls[
                    np.clip(self.position[0] + (free + 1) * down, 0, len(self.walls) - 1),
                    np.clip(self.position[1] + (free + 1) * right, 0, len(self.walls) - 1),
                ]
            ):
                free += 1
            ranges.append(free + _NOISE * generator.standard_normal())
        ahead = [self.goal[0] - self.position[0], self.goal[1] - self.position[1]]
        did = [float(number == self.last) for number in range(len(ACTIONS))]
        return np.array([*ranges, *ahead, float(self.bumped), *did], np.float32)

    def move(self, action: int) -> None:
        """One cell further, or against a wall, which the robot senses as a bump."""
        position = (self.position[0] + _MOVES[action][0], self.position[1] + _MOVES[action][1])
        self.bumped = bool(self.walls[position])
        self.last = action
        if not self.bumped:
            self.position = position

    @property
    def arrived(self) -> bool:
        return self.position == self.goal

    def best(self) -> int:
        """What the planner does: a step on a shortest way; of several the one along which the goal is farther."""
        ahead = (self.goal[0] - self.position[0], self.goal[1] - self.position[1])
        here = int(self.steps[self.position])
        shorter = [
            number
            for number, (down, right) in enumerate(_MOVES)
            if 0 <= self.steps[self.position[0] + down, self.position[1] + right] < here
        ]
        return max(shorter, key=lambda number: _MOVES[number][0] * ahead[0] + _MOVES[number][1] * ahead[1])


def rule(sensed: Sequence[Floats], generator: np.random.Generator) -> list[int]:
    """The baseline: towards the goal, its farther axis first; where walls are in the way, any free direction but back."""
    return [_towards(moments[-1], generator) for moments in sensed]


def wander(sensed: Sequence[Floats], generator: np.random.Generator) -> list[int]:
    """The lowest baseline: any action."""
    return [int(generator.integers(len(ACTIONS))) for _ in sensed]


def success_rate(policy: Policy, worlds: int, seed: int, steps: int = 60) -> float:
    """The share of worlds, the same for every policy, in which the robot reaches its goal within `steps`."""
    arrived = 0
    for moment in _lived(policy, worlds, seed, steps):
        arrived += sum(world.arrived for world in moment.worlds)
    return arrived / worlds


def write_demonstrations(
    path: Path,
    worlds: int,
    seed: int,
    window: int,
    steps: int = 60,
    errors: float = 0.2,
    driver: Policy | None = None,
) -> int:
    """A CSV with one series for each moment of a robot's ways: its last `window` moments, and what the planner does next.

    errors  the share of moments in which the robot does something else: so what it learns from leads back to the way
            (Laskey et al. 2017)
    driver  who moves the robot, by default the planner; a policy that has learnt already is shown what to do where it
            gets by itself (Ross et al. 2011)

    Returns how many series there are.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(["id", *CHANNELS, "label"])
    count = 0
    for moment in _lived(driver, worlds, seed, steps, errors):
        for number, moments, action in zip(moment.numbers, moment.sensed, moment.best, strict=True):
            count += 1
            name = f"{seed}-{number}/{len(moments)}"
            for row in moments[-window:]:
                writer.writerow([name, *(f"{value:.3g}" for value in row), ACTIONS[action]])
    with atomic_file(path) as file:
        file.write(stream.getvalue().encode())
    return count


@dataclass
class _Moment:
    """A moment of all the worlds whose robot is still on its way: their numbers, and what each has sensed so far."""

    numbers: list[int]
    worlds: list[World]
    sensed: list[list[Floats]]
    best: list[int]


def _lived(policy: Policy | None, worlds: int, seed: int, steps: int, errors: float = 0.0) -> Iterator[_Moment]:
    """All worlds at once, moment after moment; each is given out after its moves, with what was sensed before them."""
    senses = [np.random.default_rng([seed, number, 1]) for number in range(worlds)]
    moves = np.random.default_rng([seed, worlds])
    numbers = list(range(worlds))
    all_of_them = [World.drawn(np.random.default_rng([seed, number])) for number in numbers]
    sensed: list[list[Floats]] = [[] for _ in numbers]
    for _ in range(steps):
        for number in numbers:
            sensed[number].append(all_of_them[number].sensed(senses[number]))
        best = [all_of_them[number].best() for number in numbers]
        actions = best if policy is None else policy([np.stack(sensed[number]) for number in numbers], moves)
        for number, action in zip(numbers, actions, strict=True):
            wrong = errors and moves.random() < errors
            all_of_them[number].move(int(moves.integers(len(ACTIONS))) if wrong else action)
        yield _Moment(
            numbers, [all_of_them[number] for number in numbers], [sensed[number] for number in numbers], best
        )
        numbers = [number for number in numbers if not all_of_them[number].arrived]
        if not numbers:
            return


def _towards(now: Floats, generator: np.random.Generator) -> int:
    free = [bool(now[2 * number] > 0.5) for number in range(len(ACTIONS))]
    down, right = float(now[len(_BEAMS)]), float(now[len(_BEAMS) + 1])
    toward = [2 if down > 0 else 0, 1 if right > 0 else 3]
    first = 0 if abs(down) >= abs(right) else 1
    actions = [toward[axis] for axis in (first, 1 - first) if (down, right)[axis]]
    last = now[len(_BEAMS) + 3 :]
    back = (int(last.argmax()) + 2) % 4 if last.any() else -1
    for action in actions:
        if free[action] and action != back:
            return action
    open_ways = [number for number in range(len(ACTIONS)) if free[number] and number != back]
    return int(generator.choice(open_ways)) if open_ways else max(back, 0)


def _steps_to(walls: NDArray[np.bool_], goal: tuple[int, int]) -> NDArray[np.int64]:
    """The steps to `goal` from every cell, by breadth-first search; -1 where there is no way."""
    steps = np.full(walls.shape, -1)
    steps[goal] = 0
    waiting = deque([goal])
    while waiting:
        row, column = waiting.popleft()
        for down, right in _MOVES:
            position = (row + down, column + right)
            if not walls[position] and steps[position] < 0:
                steps[position] = steps[row, column] + 1
                waiting.append(position)
    return steps
