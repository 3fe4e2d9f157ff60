"""What one proxy must do: pure functions from a `model.view.ProxyView` to Envoy's listeners, routes, clusters and endpoints.

One module per resource type or concern; `generate` puts them together, `bootstrap` is what Envoy starts with.
Names follow Istio to the letter (`names`). The same view gives byte-equal resources, and what is built from parts that
are the same objects as before is taken from `memo` instead of being built again.
"""
