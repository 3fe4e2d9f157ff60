"""The control plane's own keys and those that it signs or hands on.

`authority` finds or makes the root, `ca_service` signs what agents ask for after `tokens` has told who they are,
`serving_certificate` is what the control plane answers with, and `credentials` gives gateways the keys of Secrets that
`secret_access` allows them to read.
"""
