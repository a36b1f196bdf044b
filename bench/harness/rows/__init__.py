"""All rows, in the order of the table."""

from .calls import Growth, JobsOfDevice, TasksOfJob
from .devices import Connect, ConnectTls, Memory, MemoryTls, Reports
from .files import Download, DownloadTls, Start, Upload
from .jobs import Campaign, Notify, Puback, StaticJob, Storm
from .postgres import PostgresReports

ROWS = [Connect, ConnectTls, Memory, MemoryTls, Reports, PostgresReports, Puback, Storm, StaticJob, Campaign, Notify, JobsOfDevice,
        TasksOfJob, Growth, Download, DownloadTls, Upload, Start]
