"""AArch64: instructions of 4 bytes, so a table of masks decides what each one needs, exactly.

encodings   the table: classes of encodings above Armv8.0-A, and the features that they need
words       the words of a section of code: instructions or data, and where branches go
pointers    the addresses that instructions make
functions   the functions of a file, and what each of them needs
exports     exported functions that do not say by their names what they need
producers   the -mcpu or -march that debug information tells
options     what these let a compiler use
mentions    what code calls and which places in memory it mentions, for the guards
"""
