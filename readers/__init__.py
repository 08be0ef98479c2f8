"""Files or downloads -> arrays: photographs (also as a network wants them), folders of them, sets of
tensorflow-datasets and from other files; and networks that somebody else made. Imports common.
"""
