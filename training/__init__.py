"""Data and a step -> weights on disk, and back: options, loop, checkpoints, devices, weight files, recipes.
Imports common, readers and the four modules my*.py; neither scoring nor report.
"""
