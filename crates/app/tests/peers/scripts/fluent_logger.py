"""Sends events with the fluent-logger package: ADDRESS NANOSECONDS COUNT, where ADDRESS is unix:///path or host:port.

Events carry times one millisecond apart from 2026-11-22T17:00:00Z on, whole seconds without NANOSECONDS.
"""

import sys

from fluent import sender

START = 1795366800


def main(address, nanoseconds, count):
    host, _, port = address.rpartition(":")
    where = {"host": address} if address.startswith("unix://") else {"host": host, "port": int(port)}
    logger = sender.FluentSender("app", nanosecond_precision=nanoseconds == "true", **where)
    for number in range(int(count)):
        time = START + number / 1000 if nanoseconds == "true" else START + number // 1000
        record = {
            "id": f"{address}/{nanoseconds}/{number}",
            "text": "café 日本 \"quoted\" \\ \t\n",
            "list": [1, -1, 2**63, 0.5, None, True, {"deep": []}],
        }
        assert logger.emit_with_time("line", time, record), logger.last_error
    logger.close()
    assert logger.pendings is None, "everything was sent"


main(*sys.argv[1:])
