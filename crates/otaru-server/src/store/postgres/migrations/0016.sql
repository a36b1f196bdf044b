-- Room in the pages of rows that change often: a new version beside the old one costs no entry in any index.
ALTER TABLE task SET (fillfactor = 60);
ALTER TABLE task_detail SET (fillfactor = 80);
