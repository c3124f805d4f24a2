//! Sites: their journals, and the links between them.

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt as _, Limited};
use kontor_api::path;
use kontor_api::site::{
    AddLink, EnrollSite, Enrolled, Held, JOURNAL_BYTES_MAX, JOURNAL_MEDIA_TYPE, JournalHead, JournalTaken, PeerSite,
    Sites,
};

use crate::client::{Client, Reply};
use crate::error::ClientError;

/// A part of a journal, as its site gives it.
#[derive(Debug, Clone)]
pub struct JournalPart {
    /// What the site says of itself.
    pub head: JournalHead,
    /// Groups, in order.
    pub groups: Vec<Bytes>,
}

/// What a question also asks for: what the site keeps of other journals.
#[derive(Debug, Clone, Copy)]
pub struct News<'n> {
    /// The number of the newest change that the asker was told of; 0 for none.
    pub known: u64,
    /// Sites of which news are told and not waited for.
    pub except: &'n [String],
}

impl Client {
    /// The site and those whose journals it reads.
    pub async fn sites(&self) -> Result<Sites, ClientError> {
        self.read(path::SITES).await
    }

    /// Lets a site in that will call itself so. The code is given once.
    pub async fn enroll_site(&self, site: &str) -> Result<Enrolled, ClientError> {
        self.write(path::SITES, None, &EnrollSite { site: site.to_owned() }).await
    }

    /// Makes the site read another one's journal from now on; if `mutual`, that one its journal too.
    pub async fn add_link(&self, code: &str, mutual: bool) -> Result<PeerSite, ClientError> {
        self.write(path::SITE_LINKS, None, &AddLink { code: code.to_owned(), mutual }).await
    }

    /// Groups of the site's journal after what `asker` holds of it. Sent once, and at most
    /// [`JOURNAL_BYTES_MAX`] of an answer are read, whatever the other side sends.
    pub async fn journal(
        &self,
        asker: &str,
        after: &Held,
        wait_s: u64,
        news: Option<News<'_>>,
    ) -> Result<JournalPart, ClientError> {
        let Held { term, seq, digest } = after;
        let mut query = format!("site={asker}&term={term}&after={seq}&digest={digest}&wait_s={wait_s}");
        if let Some(News { known, except }) = news {
            query.push_str(&format!("&known={known}&except={}", except.join(",")));
        }
        self.part(&query).await
    }

    /// Groups that the site keeps of a journal: the asker's own, if it has lost it, or another one.
    pub async fn kept_of(&self, asker: &str, of: &str, term: u32, after: u64) -> Result<JournalPart, ClientError> {
        self.part(&format!("site={asker}&of={of}&term={term}&after={after}")).await
    }

    /// Gives groups of the asker's own journal, in its order, to a site that cannot ask for them. Sent once.
    pub async fn give_journal(&self, head: &JournalHead, groups: &[Bytes]) -> Result<JournalTaken, ClientError> {
        let path = path::with(path::SITE_JOURNAL_OF, &[&head.site]);
        let bytes = head.encode(groups.iter().map(Bytes::as_ref))?;
        self.post_as(&path, JOURNAL_MEDIA_TYPE, bytes).await?.json()
    }

    async fn part(&self, query: &str) -> Result<JournalPart, ClientError> {
        let path = format!("{}?{query}", path::SITE_JOURNAL);
        let response = self.ask(&Method::GET, &path).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, JOURNAL_BYTES_MAX).collect().await.map_err(ClientError::BrokenOff)?.to_bytes();
        if !head.status.is_success() {
            return Err(Reply { status: head.status, headers: head.headers, body }.problem());
        }
        let (head, groups) = JournalHead::decode(&body).map_err(|why| ClientError::BrokenOff(why.into()))?;
        Ok(JournalPart { head, groups: groups.into_iter().map(|group| body.slice(group)).collect() })
    }
}
