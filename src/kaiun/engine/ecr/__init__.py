"""Amazon ECR: repositories by its API, images by `docker push`, and both are one truth.

Repositories are documents of the store. Images are what lies in the folder of the engine's own
registry (CNCF distribution): the API reads and changes that folder, docker goes through a door that
asks for ECR's login and passes on to the registry.
"""
