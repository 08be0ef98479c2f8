"""The house: who may import whom, no circle, what stands at the top level, files and functions of readable size."""
