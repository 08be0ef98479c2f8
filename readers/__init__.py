"""Files or downloads -> arrays: photographs (also as a network wants them), folders of them, tensorflow-datasets,
sets from other files. Imports common.
"""
