"""Files or downloads -> arrays: photographs, folders of them, tensorflow-datasets, sets from other files.
Imports common.
"""
