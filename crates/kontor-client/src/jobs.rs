//! Jobs: imports that are resumed after whatever broke them off, and undone.

use kontor_api::job::{Job, JobRow, JobUndo, RowAnswer, StartJob};
use kontor_api::{Empty, path};
use serde::Serialize;

use crate::client::Client;
use crate::error::ClientError;

impl Client {
    /// Starts a job, or finds it as it stands: the same id and digest are the same job.
    pub async fn start_job(&self, job: &StartJob) -> Result<Job, ClientError> {
        self.write(path::JOBS, None, job).await
    }

    /// One job.
    pub async fn job(&self, id: &str) -> Result<Job, ClientError> {
        self.read(&path::with(path::JOB, &[id])).await
    }

    /// Sends the next rows of a job. If the answer breaks off, read the job and go on after its
    /// `through_line`; rows that were taken are not taken again.
    pub async fn send_rows(&self, id: &str, rows: &[JobRow]) -> Result<Vec<RowAnswer>, ClientError> {
        self.post_lines(&path::with(path::JOB_ROWS, &[id]), lines(rows)?).await?.lines()
    }

    /// Says that a job has all its rows.
    pub async fn finish_job(&self, id: &str) -> Result<Job, ClientError> {
        self.write(&path::with(path::JOB_FINISH, &[id]), None, &Empty {}).await
    }

    /// Takes back one step of a job; to be asked for until nothing is left.
    pub async fn undo_job(&self, id: &str) -> Result<JobUndo, ClientError> {
        self.write(&path::with(path::JOB_UNDO, &[id]), None, &Empty {}).await
    }
}

/// One JSON value on each line.
pub(crate) fn lines(values: &[impl Serialize]) -> Result<Vec<u8>, ClientError> {
    let mut text = Vec::new();
    for value in values {
        serde_json::to_writer(&mut text, value)?;
        text.push(b'\n');
    }
    Ok(text)
}
