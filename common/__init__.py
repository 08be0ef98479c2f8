"""What knows neither data sets nor networks: errors and exit codes, whole files, random keys, command lines,
warps and dilation, binarisation of masks, a look into weight files. Imports nothing of ours.
"""
