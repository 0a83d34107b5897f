"""stub"""

from cowdb.controller.lab.model import LabReport


def html(report: LabReport) -> str:
    return "<!doctype html>"
