"""The Gateway API's objects in the cluster: their statuses, the class that is ours, and gateways that are asked for.

What they mean is computed by `model.gateway_api`; here it is written down. `manifests` says what a gateway is made of,
`keeper` compares what there is with what there should be, and changes only what differs.
"""
