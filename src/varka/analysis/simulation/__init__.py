"""What a proxy does with a connection or a request, read from its configuration without sending anything.

`simulate.run` walks the path that Envoy walks: the listener of the dialled address, the listener filters that look at
the first bytes, the filter chain, then for HTTP the route configuration, the virtual host and the route. Each decision
becomes a step of the result with its reason, so that a person can read why a request went where it went.

The configuration is what the proxy really has: the resources that `envoy.generate` made, or a dump of a live Envoy.
"""
