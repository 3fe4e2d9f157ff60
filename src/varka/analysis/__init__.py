"""What the resources of a mesh mean together: questions of people, answered from a snapshot, without a running proxy."""
