"""The analyzers: each a function from a `Context` to messages, one module a subject.

An analyzer looks at what is written, never at proxies, and trusts nothing: what could not be read is not in the context.
Which codes an analyzer gives, and when, is Istio's to say, so that a user's suppressions and habits carry over.
"""
