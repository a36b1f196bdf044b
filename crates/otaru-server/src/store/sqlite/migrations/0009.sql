-- Devices that a minute is given are counted by its jobs.
CREATE INDEX job_schedule ON job (schedule_at) WHERE schedule_at IS NOT NULL AND status = 0;
