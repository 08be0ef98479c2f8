"""A model and a test -> rows: accuracy, masks, unseen backgrounds, attacks, where a model looks.
Imports common, readers and the four modules my*.py; neither training nor report.
"""
