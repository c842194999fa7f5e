"""Scores of predictions against what is right, by the measures of the field; nothing here knows a model or a task."""
