"""What the resources of a mesh mean together: questions of people, answered from a snapshot, without a running proxy; pure.

`analyzers.analyze(objects)` takes plain objects, of a cluster or of files, and gives the messages of `istioctl analyze`;
each analyzer is a function from a `Context` to messages. `mutual_tls` says which settings a client and a server meet with.
"""
