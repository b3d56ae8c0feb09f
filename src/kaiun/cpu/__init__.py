"""The instruction sets that an image may need: levels, EC2 families, and a scanner for them.

parse(text)              `x86-64-v2`, `m5`, `graviton3` … becomes a Baseline
scan_file(path), facts   what one ELF file holds (imports numpy and iced-x86, so lazily)
"""
