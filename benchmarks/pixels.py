"""Masks and boxes of a classical pipeline of scikit-image, beside those of trained models, on the same split.

    python benchmarks/pixels.py recipes/modalities/isbi_membranes.toml recipes/modalities/dsb_nuclei.toml --runs runs
    python benchmarks/pixels.py recipes/modalities/bccd_boxes.toml --runs runs

The classical pipeline: the image is smoothed, thresholded by Otsu's, Li's or a local threshold, and small groups of pixels
are left out; where things are told apart, a watershed grows them from the peaks of the distance to the edge. Its settings
are the best on the recipe's training and validation images (about --images of them); then it is scored once on the test
images. Where things are told apart, the settings are chosen again for the boxes around them. A class whose value in the
masks is 0 is dark, and so are things in an image that is bright in the mean. For boxes every thing has a box, of the label
whose training boxes are nearest in colour and size; it is the surer the larger it is.

Models are the runs RUNS/NAME-SEED of each recipe, as `textome finetune RECIPE --output RUNS/NAME-SEED --set
training.seed=SEED` leaves them: the test scores that training wrote, mean and standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import feature, filters, measure, segmentation
from skimage.morphology import remove_small_objects

from textome.inputs.pixels.pixels import Pixels
from textome.inputs.pixels.regions import Box, Picture, boxes_of
from textome.inputs.records import Record
from textome.tasks.pixels.detection import Detection
from textome.tasks.pixels.segmentation import Segmentation, Segmented
from textome.training.modality.data import ModalityRecords, load_records
from textome.training.recipe import load_recipe

AREAS = {
    "sigma": (0, 1, 2),
    "threshold": ("otsu", "li", "local 51"),
    "offset": (-0.03, 0.0, 0.03),
    "min_area": (0, 30),
}
THINGS = {"peak_distance": (3, 5, 8, 12, 20), "depth_sigma": (0, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--images", type=int, default=30, help="images by which the settings are chosen")
    options = parser.parse_args()
    for path in options.recipes:
        recipe = load_recipe(path)
        assert recipe.input is not None
        data = load_records(recipe, recipe.input)
        known, test = data.train + data.validation, data.test
        step = max(1, len(known) // options.images)
        settings, scores = classical(data, known[::step], test)
        print(f"{path.stem}: {len(known[::step])} images to choose by, {len(test)} test images; {settings}", flush=True)
        rows = {"classical": scores}
        if isinstance(data.target, Segmentation) and data.target.objects:
            settings, rows["boxes"] = boxes_by_colour(Detection(labels=data.target.labels), known[::step], test)
            print(f"  boxes of {settings}", flush=True)
        rows |= models(options.runs, path.stem)
        for name, values in rows.items():
            print(f"  {name:12}", "  ".join(f"{key} {value}" for key, value in shown(values).items()), flush=True)


def models(runs: Path, name: str) -> dict[str, Any]:
    files = sorted(runs.glob(f"{name}-*/scores.json"))
    every = [json.loads(file.read_text()) for file in files]
    if not every:
        return {}
    return {f"{len(every)} seeds": {key: [scores[key] for scores in every] for key in every[0] if key != "records"}}


def shown(values: dict[str, Any]) -> dict[str, str]:
    text = {}
    for key, value in values.items():
        several = value if isinstance(value, list) else [value]
        spread = f" ± {100 * statistics.stdev(several):.1f}" if len(several) > 1 else ""
        text[key] = f"{100 * statistics.mean(several):.1f}{spread}"
    return text


def classical(
    data: ModalityRecords, known: Sequence[Record], test: Sequence[Record]
) -> tuple[dict[str, Any], dict[str, float]]:
    """The settings of the best pipeline on the known images, and its scores on the test images."""
    task, pixels = data.target, data.modality
    assert isinstance(pixels, Pixels)
    if isinstance(task, Detection):
        return boxes_by_colour(task, known, test)
    assert isinstance(task, Segmentation)
    dark = 0 in pixels.values.values()

    def answers(records: Iterable[Picture], settings: dict[str, Any]) -> list[Segmented]:
        return [segmented(record.content, settings, dark, task.objects) for record in records]

    def score(settings: dict[str, Any]) -> dict[str, float]:
        return task.score(known, answers(known, settings))

    best = chosen(AREAS, lambda settings: task.model_copy(update={"objects": False}).score(
        known, [segmented(record.content, settings, dark, False) for record in known])["dice"])  # fmt: skip
    if task.objects:
        best |= chosen(THINGS, lambda settings: score(best | settings)["object_precision"])
    return best, task.score(test, answers(test, best))


def chosen(grid: dict[str, Sequence[Any]], score: Callable[[dict[str, Any]], float]) -> dict[str, Any]:
    """The settings of a grid with the best score."""
    every = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    return max((item for item in every if item.get("offset", 0) == 0 or "local" in item["threshold"]), key=score)


def segmented(image: NDArray[np.uint8], settings: dict[str, Any], dark: bool, things: bool) -> Segmented:
    """Things that are bright; or dark, where they always are or the image is bright in the mean."""
    grey = image.mean(2) / 255
    if dark or grey.mean() > 0.5:
        grey = 1 - grey
    smooth = filters.gaussian(grey, settings["sigma"]) if settings["sigma"] else grey
    kind, _, block = settings["threshold"].partition(" ")
    if kind == "local":
        threshold = filters.threshold_local(smooth, int(block), offset=settings["offset"])
    else:
        threshold = {"otsu": filters.threshold_otsu, "li": filters.threshold_li}[kind](smooth)
    mask = smooth > threshold
    if settings["min_area"]:
        mask = remove_small_objects(mask, max_size=settings["min_area"] - 1)
    if not things:
        return Segmented(mask.astype(np.uint8))
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(mask)
    if settings["depth_sigma"]:
        depth = filters.gaussian(depth, settings["depth_sigma"])
    groups = measure.label(mask)
    peaks = feature.peak_local_max(depth, min_distance=settings["peak_distance"], labels=groups, exclude_border=False)
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = 1 + np.arange(len(peaks))
    objects = segmentation.watershed(-depth, markers, mask=mask).astype(np.int32)
    return Segmented((objects > 0).astype(np.uint8), objects)


def boxes_by_colour(
    task: Detection, known: Sequence[Picture], test: Sequence[Picture]
) -> tuple[dict[str, Any], dict[str, float]]:
    """Boxes of things, of each label whose training boxes are nearest in colour and size; surer the larger a thing is."""
    gold = [(record, box) for record in known if record.regions for box in record.regions.all_boxes()]
    features = np.array([described(record.content, box) for record, box in gold])
    scale = np.maximum(features.std(0), 1e-6)
    means = {
        label: (features[[box.label == label for _, box in gold]] / scale).mean(0)
        for label in task.labels
        if any(box.label == label for _, box in gold)
    }

    def answers(records: Iterable[Picture], settings: dict[str, Any]) -> list[tuple[Box, ...]]:
        every = []
        for record in records:
            read = segmented(record.content, settings, False, True)
            boxes = boxes_of(read.objects, read.classes, ("thing",)) if read.objects is not None else ()
            largest = max((box.width * box.height for box in boxes), default=1.0)
            every.append(
                tuple(
                    Box(
                        min(
                            means, key=lambda label: np.abs(described(record.content, box) / scale - means[label]).sum()
                        ),
                        box.left,
                        box.upper,
                        box.right,
                        box.lower,
                        box.width * box.height / largest,
                    )
                    for box in boxes
                )
            )
        return every

    grid: dict[str, Sequence[Any]] = {
        "sigma": (1, 2),
        "threshold": ("otsu", "li", "local 101"),
        "offset": (0.0,),
        "min_area": (12, 200),
    }
    grid |= {"peak_distance": (5, 12, 30), "depth_sigma": (1,)}
    best = chosen(grid, lambda settings: task.score(known, answers(known, settings))["map50"])
    return best, task.score(test, answers(test, best))


def described(image: NDArray[np.uint8], box: Box) -> NDArray[np.float64]:
    """The mean colour of a box, and the logarithm of its side."""
    left, upper = int(box.left), int(box.upper)
    part = image[upper : max(upper + 1, int(box.lower)), left : max(left + 1, int(box.right))]
    return np.array([*part.reshape(-1, image.shape[2]).mean(0), 40 * np.log(max(box.width, box.height))])


if __name__ == "__main__":
    main()
