"""What the control plane tells its users about what they wrote and how the mesh fares: statuses, Events, diagnoses.

`diagnosis` judges all resources, `statuses` words the result and `status_writer` writes it, a little at a time.
`patch_reports` and `extension_checks` find what is wrong with patches and modules, `events` writes Events.
"""
