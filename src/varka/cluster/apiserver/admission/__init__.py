"""Admission webhooks: others may change or refuse an object before it is stored.

`webhook_rules` says which webhooks a request concerns, `webhook_calls` asks one of them, `webhooks` asks all in their order.
"""
