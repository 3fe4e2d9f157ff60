"""What a workload's policies say to a request, without a proxy: the verdict, which policy gave it, and why.

`evaluation.decide` takes the policies and token rules of a view (`model.views`) and a `requests.Request`; it decides as
the filters that `envoy.security` makes of the same policies would, and names the same policy as the access log does.
`matching` is one rule against one request, `tokens` what a request's tokens are worth, `paths` the form in which
policies see a path. `callers` asks for everybody in the mesh at once.
"""
