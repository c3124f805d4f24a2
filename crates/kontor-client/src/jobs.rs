//! Jobs: imports that are resumed after whatever broke them off, and undone.

use bytes::Bytes;
use kontor_api::job::{Job, JobRow, JobUndo, RowAnswer, StartJob};
use kontor_api::page::Page;
use kontor_api::{Empty, path};
use serde::Serialize;

use crate::client::Client;
use crate::error::ClientError;
use crate::lines::Lines;

impl Client {
    /// Starts a job, or finds it as it stands: the same id and digest are the same job.
    pub async fn start_job(&self, job: &StartJob) -> Result<Job, ClientError> {
        self.write(path::JOBS, None, job).await
    }

    /// One job.
    pub async fn job(&self, id: &str) -> Result<Job, ClientError> {
        self.read(&path::with(path::JOB, &[id])).await
    }

    /// One page of all jobs.
    pub async fn jobs(&self, page_token: Option<&str>) -> Result<Page<Job>, ClientError> {
        self.read(&paged(path::JOBS, page_token)).await
    }

    /// Sends the next rows of a job. If the answer breaks off, read the job and go on after its
    /// `through_line`; rows that were taken are not taken again.
    pub async fn send_rows(&self, id: &str, rows: &[JobRow]) -> Result<Vec<RowAnswer>, ClientError> {
        self.send_row_lines(id, lines(rows)?).await
    }

    /// The same of rows that are lines of JSON already.
    pub async fn send_row_lines(&self, id: &str, rows: impl Into<Bytes>) -> Result<Vec<RowAnswer>, ClientError> {
        self.post_lines(&path::with(path::JOB_ROWS, &[id]), rows).await?.lines()
    }

    /// One page of the rows of a job that were refused.
    pub async fn refused_rows(&self, id: &str, page_token: Option<&str>) -> Result<Page<RowAnswer>, ClientError> {
        let rows = format!("{}?outcome=refused&page_size=200", path::with(path::JOB_ROWS, &[id]));
        self.read(&paged(&rows, page_token)).await
    }

    /// Says that a job has all its rows.
    pub async fn finish_job(&self, id: &str) -> Result<Job, ClientError> {
        self.write(&path::with(path::JOB_FINISH, &[id]), None, &Empty {}).await
    }

    /// Takes back one step of a job; to be asked for until nothing is left.
    pub async fn undo_job(&self, id: &str) -> Result<JobUndo, ClientError> {
        self.write(&path::with(path::JOB_UNDO, &[id]), None, &Empty {}).await
    }

    /// Says what products on lines of JSON would do, and does nothing.
    pub async fn try_product_lines(&self, lines: impl Into<Bytes>) -> Result<Vec<RowAnswer>, ClientError> {
        self.post_lines(&format!("{}?dry_run=true", path::PRODUCTS_BULK), lines).await?.lines()
    }

    /// All products, as lines of JSON.
    pub async fn export_products(&self) -> Result<Lines, ClientError> {
        Ok(Lines::of(self.stream(path::EXPORT_PRODUCTS).await?))
    }

    /// All levels, as lines of JSON.
    pub async fn export_stock(&self) -> Result<Lines, ClientError> {
        Ok(Lines::of(self.stream(path::EXPORT_STOCK).await?))
    }
}

fn paged(list: &str, page_token: Option<&str>) -> String {
    let Some(token) = page_token else { return list.to_owned() };
    let mut url = format!("{list}{}page_token=", if list.contains('?') { '&' } else { '?' });
    path::encode(token, &mut url);
    url
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
