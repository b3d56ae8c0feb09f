"""What the engine adds to the side services' S3: public objects, read by anybody.

policy   whether a bucket's policy lets everyone do something
cors     what a bucket's CORS configuration answers to a page of another origin
public   an unsigned request, from the question to the answer
"""
