"""What browsers load: compiled once for all tasks, kept by what it was made from, put in place.

inputs      what the result depends on, as one digest
compile     containers of the image that was just built, side by side
frameworks  which names carry a fingerprint, which files are the framework's own manifests
manifest    what came out: files, sizes, checksums, types
artifact    the same in the app's registry, found by the digest
"""
