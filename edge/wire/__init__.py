"""An inspection in, messages out: encoding only.

documents.py    the contract, field by field; inspection_documents.py: of an inspection and its summary
schema.py       from it: JSON Schemas and the AsyncAPI description
encode.py       what all messages write alike
inspection.py   and summary.py, failure.py, status.py, command.py: one kind of message each
channel.py      the interface of a further wire format
home_assistant.py  and sparkplug.py with sparkplug_metrics.py, sparkplug_host.py: such formats
table.py        the further wire formats that there are
"""
