"""`kaiun init`: look at an app and write a kaiun.yml for it, and a Dockerfile where there is none.

tree        the app's folder, as it is read
lockfile, versions, database, javascript, processes, assets: what is found in it
rails       a Rails app, of all these
container   an app that has a Dockerfile
debian      which Debian packages a gem needs
services    the servers that run beside the app on the local ECS
draft       what was found → the texts of the files, by the templates beside it
writing     the texts → files, never over one that is there
"""
