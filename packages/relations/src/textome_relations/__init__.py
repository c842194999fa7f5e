"""The bundle that `textome --model relations` loads, in the folder `bundle`."""
