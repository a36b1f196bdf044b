"""All rows, in the order of the table."""

from .calls import JobsOfDevice, TasksOfJob
from .devices import Connect, Memory, Reports
from .files import Download, Start, Upload
from .jobs import Campaign, Notify, Puback, StaticJob, Storm
from .postgres import PostgresReports

ROWS = [Connect, Memory, Reports, PostgresReports, Puback, Storm, StaticJob, Campaign, Notify, JobsOfDevice, TasksOfJob, Download, Upload, Start]
