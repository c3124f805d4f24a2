//! `/sites`: this site, those whose journals it reads, its own journal for them, and theirs if they give it.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::channel::{Channel, Sender};
use kontor_api::Code;
use kontor_api::changes::WAIT_S_MAX;
use kontor_api::site::{
    AddLink, EnrollSite, Enrolled, GroupPlace, JOURNAL_BYTES_MAX, JOURNAL_MEDIA_TYPE, JournalHead, JournalTaken,
    KeptJournal, PeerAddress, Sites,
};
use kontor_core::group::Digest;
use kontor_core::id::{Position, SiteId};
use kontor_core::session::{Mark, Past};
use kontor_site::Site;
use kontor_site::clock::Stopwatch;
use kontor_site::feed::Feed;
use kontor_site::foreign::NotFolded;
use kontor_site::site::NotReadIn;
use serde::Deserialize;
use tokio::time::{Duration, timeout};
use utoipa::IntoParams;

use super::changes::{As, answer_as, slot};
use super::json;
use crate::access::Access;
use crate::app::App;
use crate::extract::{Admin, Named, Nothing, Params, Peer, Sent};
use crate::idempotency::bytes_up_to;
use crate::limits::{GIVEN_PATIENCE, HEARTBEAT, SITES_REST};
use crate::links;
use crate::problem::Problem;

/// List sites
///
/// This site, and every site whose journal it reads: how far, how late, and how the link is.
///
/// With `Accept: text/event-stream` it does not end: the same again, as an event, whenever it has changed.
#[utoipa::path(
    get, path = "/api/v1/sites", tag = "sites", operation_id = "list_sites",
    responses((status = 200, description = "This site and the others", content(
        (Sites = "application/json"), (String = "text/event-stream")))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    _: Admin,
    Params(Nothing {}): Params<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    match answer_as(&headers)? {
        As::Json => json(StatusCode::OK, &app.links.of(&app.site)),
        As::Stream => stream(&app),
    }
}

/// A stream of server-sent events, until its receiver leaves or the server ends.
fn stream(app: &App) -> Result<Response, Problem> {
    if app.is_draining() {
        return Err(Problem::new(Code::ShuttingDown, "the server is shutting down"));
    }
    let slot = slot(app, false)?;
    let (sender, body) = Channel::<Bytes, axum::Error>::new(1);
    let (mut draining, gauge, telling) = (app.draining.subscribe(), app.metrics.streams.clone(), app.clone());
    tokio::spawn(async move {
        gauge.increment(1);
        tokio::select! {
            () = tell(telling, sender) => {}
            _ = draining.wait_for(|draining| *draining) => {}
        }
        gauge.decrement(1);
        drop(slot);
    });
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Sends how the sites are when it is other than what was sent last, and else now and then that the stream is
/// open. What a busy link changes meanwhile is in what is sent next.
async fn tell(app: App, mut sender: Sender<Bytes, axum::Error>) {
    let (mut changes, watch) = (app.links.changes(), Stopwatch::start());
    let (mut last, mut last_s) = (None, 0.0);
    loop {
        changes.mark_unchanged();
        let sites = app.links.of(&app.site);
        let shown = telling(&sites);
        let text = if last.as_ref() != Some(&shown) {
            last = Some(shown);
            let Ok(json) = serde_json::to_string(&sites) else { return };
            format!("event: sites\ndata: {json}\n\n")
        } else if watch.seconds() - last_s > HEARTBEAT.as_secs_f64() {
            ": still here\n\n".to_owned()
        } else {
            // Lags grow although nothing happens.
            let _ = timeout(Duration::from_secs(1), changes.changed()).await;
            continue;
        };
        last_s = watch.seconds();
        if sender.send_data(text.into()).await.is_err() {
            return;
        }
        let _ = timeout(SITES_REST, std::future::pending::<()>()).await;
    }
}

/// What of it is worth telling when it changes: whole seconds, and not when somebody last answered.
fn telling(sites: &Sites) -> Sites {
    let mut shown = sites.clone();
    for item in &mut shown.items {
        (item.lag_ms, item.answered_at) = (item.lag_ms / 1_000, None);
    }
    shown
}

/// Let a site in
///
/// Makes a key with which a site of this name may read this site's journal, and answers it with the address
/// of this site as one code. The code is shown once; each call makes another key.
#[utoipa::path(
    post, path = "/api/v1/sites", tag = "sites", operation_id = "enroll_site",
    responses((status = 201, description = "The code for that site", body = Enrolled)),
)]
pub(crate) async fn enroll(
    State(app): State<App>,
    _: Admin,
    Sent(asked): Sent<EnrollSite>,
) -> Result<Response, Problem> {
    let site = site_id("/site", &asked.site)?;
    if site == *app.site.id() {
        return Err(Problem::invalid("/site", "this is the name of this site itself"));
    }
    let key = Access::issue_peer_key(&app.site, &site).await.map_err(Problem::from)?;
    let own = PeerAddress { url: app.address.clone(), site: Some(app.site.id().to_string()), key: Some(key) };
    json(StatusCode::CREATED, &Enrolled { site: asked.site, code: own.code() })
}

/// Read another site's journal
///
/// Reads the journal of the site that gave the code, from now on and after every start. With `mutual`, that
/// site is asked to read this one's too, with a key of its own. A peer's key may make the link to that peer.
#[utoipa::path(
    post, path = "/api/v1/sites/links", tag = "sites", operation_id = "add_link",
    responses((status = 201, description = "The site whose journal is read", body = kontor_api::site::PeerSite)),
)]
pub(crate) async fn link(State(app): State<App>, peer: Peer, Sent(asked): Sent<AddLink>) -> Result<Response, Problem> {
    let address: PeerAddress = asked
        .code
        .parse()
        .map_err(|error: kontor_api::site::NoPeerAddress| Problem::invalid("/code", error.to_string()))?;
    let Some(site) = address.site.clone() else {
        return Err(Problem::invalid("/code", "the code does not say whose it is"));
    };
    let site = site_id("/code", &site)?;
    if site == *app.site.id() {
        return Err(Problem::invalid("/code", "this is a code of this site itself"));
    }
    peer.speaks_for(&site)?;
    if asked.mutual && !peer.is_admin {
        return Err(Problem::new(Code::Forbidden, "only an admin key lets another site in"));
    }
    app.links.wish(address, asked.mutual).await.map_err(|why| Problem::new(Code::LinkRefused, why))?;
    let sites = app.links.of(&app.site);
    let made = sites.items.into_iter().find(|item| item.site == site.as_str());
    let made = made.ok_or_else(|| Problem::internal("a link that was made is not shown"))?;
    json(StatusCode::CREATED, &made)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JournalParams {
    /// Who asks; what the key was made for.
    #[param(example = "eu-west-1")]
    site: String,
    /// The term of the last group that the asker holds; 0 for none.
    term: u32,
    /// That group.
    after: u64,
    /// Its SHA-256, 64 hexadecimal digits. Another one than here means that two journals were written.
    digest: Option<String>,
    /// Whose journal; this site's if not given. Of another site it is what is kept here, as it came: for
    /// sites that cannot reach that one, and for that site, if it has lost it.
    of: Option<String>,
    /// How many seconds to wait for something new if there is nothing, 0 if not given.
    #[param(maximum = 30)]
    wait_s: Option<u64>,
    /// Tell how far journals of other sites are kept here too, of those that have changed after this change;
    /// 0 for all. The answer has the number for the next question as `news`.
    known: Option<u64>,
    /// Sites, with commas between them, of which this is told and not waited for: the asker reads them itself.
    except: Option<String>,
}

/// Read the journal
///
/// Groups of this site's journal after a place, as other sites are told them, oldest first: some 128 KiB of
/// them, or one. The answer is frames, each with its length before it in four bytes, little-endian. The
/// first is JSON: `site`, `end` of the journal, what this site `holds` of the asker's own journal, and, if
/// asked, how far others are `kept` here. The others are groups. For keys of peers and admins.
///
/// A peer that says to hold more of this journal than is here, or something else, stops this site's
/// writes: `journal_behind`.
#[utoipa::path(
    get, path = "/api/v1/sites/journal", tag = "sites", operation_id = "read_journal", params(JournalParams),
    responses((status = 200, description = "Groups", content((Vec<u8> = "application/vnd.kontor.journal")))),
)]
pub(crate) async fn journal(
    State(app): State<App>,
    peer: Peer,
    Params(params): Params<JournalParams>,
) -> Result<Response, Problem> {
    let JournalParams { site, term, after, digest, of, wait_s, known, except } = params;
    let asker = site_id("site", &site)?;
    peer.speaks_for(&asker)?;
    let wait_s = wait_s.unwrap_or(0);
    if wait_s > WAIT_S_MAX {
        return Err(Problem::invalid("wait_s", format!("at most {WAIT_S_MAX} seconds are waited, not {wait_s}")));
    }
    if let Some(of) = of.filter(|of| of != app.site.id().as_str()) {
        return kept(&app, site_id("of", &of)?, term, after).await;
    }
    let except = except.iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty());
    let except = except.map(|name| site_id("except", name)).collect::<Result<BTreeSet<_>, _>>()?;
    let digest = digest.map(|digest| {
        Digest::parse(&digest).ok_or_else(|| Problem::invalid("digest", "a digest has 64 hexadecimal digits"))
    });
    let digest = digest.transpose()?;
    if !peer.is_admin {
        app.links.hear(&asker, (term, after));
        if let Some(digest) = digest {
            listen(&app, &asker, Mark { term, seq: after, digest }).await?;
        }
    }
    let mut feed = app.site.feed();
    let mut groups = groups_after(&feed, term, after).await?;
    if groups.is_empty() && wait_s > 0 {
        let _slot = slot(&app, false)?;
        let mut draining = app.draining.subscribe();
        let place = Position { term, seq: after, index: 0 };
        let mut copies = app.site.copies();
        let is_new = |site: &SiteId| *site != asker && !except.contains(site);
        tokio::select! {
            _ = timeout(Duration::from_secs(wait_s), feed.wait(place)) => {}
            _ = copies.wait_for(|kept| known.is_some_and(|known| kept.since(known).any(|(site, _)| is_new(site)))) => {}
            _ = draining.wait_for(|draining| *draining) => {}
        }
        groups = groups_after(&feed, term, after).await?;
    }
    let end = feed.end();
    let end = GroupPlace { term: end.term, seq: end.seq };
    let mut head = JournalHead::new(app.site.id().as_str(), end);
    head.holds = app.site.kept(&asker).map(|mark| links::held(&mark));
    if let Some(known) = known {
        let copies = app.site.copies();
        let copies = copies.borrow();
        let told = copies.since(known).filter(|(site, _)| **site != asker).map(|(site, mark)| KeptJournal {
            site: site.to_string(),
            end: GroupPlace { term: mark.term, seq: mark.seq },
        });
        (head.kept, head.news) = (told.collect(), Some(copies.changes()));
    }
    answer(&head, &groups)
}

/// What is kept of another site's journal.
async fn kept(app: &App, of: SiteId, term: u32, after: u64) -> Result<Response, Problem> {
    let (site, name) = (app.site.clone(), of.clone());
    let kept = tokio::task::spawn_blocking(move || site.kept_groups(&name, term, after)).await;
    let kept = kept.map_err(|_| Problem::internal("reading a journal panicked"))?;
    let kept = kept.map_err(|error| Problem::internal(error.to_string()))?;
    let Some((mark, groups)) = kept else {
        return Err(Problem::new(Code::NotFound, format!("nothing of the journal of site {of} is kept here")));
    };
    let end = GroupPlace { term: mark.term, seq: mark.seq };
    answer(&JournalHead::new(of.as_str(), end), &groups)
}

/// Give a journal
///
/// Groups of the journal of the site in the path, in its order, in the frames of `read_journal`: for a site that
/// cannot be asked, with its own key. What follows from what is held is kept and folded; the answer says how far
/// it is held then, and so where to go on. Without groups, that is all.
#[utoipa::path(
    post, path = "/api/v1/sites/{site}/journal", tag = "sites", operation_id = "give_journal",
    params(("site" = String, Path, description = "Whose journal; what the key was made for")),
    request_body(content = Vec<u8>, content_type = "application/vnd.kontor.journal"),
    responses((status = 200, description = "How far it is held", body = JournalTaken)),
)]
pub(crate) async fn take(
    State(app): State<App>,
    peer: Peer,
    Named(site): Named<String>,
    request: Request,
) -> Result<Response, Problem> {
    let giver = site_id("site", &site)?;
    peer.speaks_for(&giver)?;
    if peer.is_admin {
        return Err(Problem::new(Code::Forbidden, "a site gives its journal itself, with the key that it was given"));
    }
    if giver == *app.site.id() {
        return Err(Problem::invalid("site", "this is the name of this site itself"));
    }
    let bytes = bytes_up_to(request.into_body(), JOURNAL_BYTES_MAX, &app).await?;
    let not_a_part = |why: String| Problem::invalid("", why);
    let (head, groups) = JournalHead::decode(&bytes).map_err(|why| not_a_part(why.to_string()))?;
    if head.site != site {
        return Err(not_a_part(format!("this is the journal of {}", head.site)));
    }
    let groups: Vec<Bytes> = groups.into_iter().map(|group| bytes.slice(group)).collect();
    let taking = app.links.is_given(&giver, (head.end.term, head.end.seq));
    let reading = async {
        let taking = taking.lock_owned().await;
        let (site, giver) = (app.site.clone(), giver.clone());
        let read = tokio::spawn(async move {
            // Also when nobody waits for it any more: the next part comes after this one.
            let _taking = taking;
            read_in(site, giver, groups).await
        });
        read.await.map_err(|_| Problem::internal("reading in a journal panicked"))?
    };
    // It may build on what others have written and is not here yet: then what is kept is told meanwhile.
    if let Ok(read) = timeout(GIVEN_PATIENCE, reading).await {
        read?;
    }
    let holds = links::held(&app.site.kept(&giver).unwrap_or_default());
    json(StatusCode::OK, &JournalTaken { holds })
}

/// Keeps what a site gives of its journal, and waits until it is folded.
async fn read_in(site: Site, giver: SiteId, groups: Vec<Bytes>) -> Result<(), Problem> {
    let kept = tokio::task::spawn_blocking(move || {
        if site.kept(&giver).is_none() {
            site.enroll(&giver)?;
        }
        if groups.is_empty() { Ok(None) } else { site.keep(&giver, &groups).map(Some) }
    });
    let read = match kept.await.map_err(|_| Problem::internal("keeping a journal panicked"))? {
        Ok(None) => return Ok(()),
        Ok(Some(reading)) => reading.folded().await,
        Err(error) => Err(error),
    };
    let Err(error) = read else { return Ok(()) };
    Err(match &error {
        // The answer says where to go on.
        NotReadIn::NotFolded { why: NotFolded::Gap | NotFolded::Older, .. } => return Ok(()),
        NotReadIn::NotFolded { why: NotFolded::NotOfIt(_), .. } => Problem::invalid("", error.to_string()),
        NotReadIn::NotFolded { why: NotFolded::Stopped(_) | NotFolded::NotRead, .. } => {
            Problem::new(Code::LinkRefused, error.to_string())
        }
        NotReadIn::NoRoom(_) | NotReadIn::NotKept(_) => Problem::new(Code::StorageFull, error.to_string()),
        NotReadIn::NotFolded { why: NotFolded::Halted, .. } | NotReadIn::Stopped | NotReadIn::NotEnrolled(_) => {
            Problem::new(Code::SiteStopped, error.to_string())
        }
    })
}

fn answer(head: &JournalHead, groups: &[Bytes]) -> Result<Response, Problem> {
    let body = head.encode(groups.iter().map(Bytes::as_ref));
    let body = body.map_err(|error| Problem::internal(error.to_string()))?;
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JOURNAL_MEDIA_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What a peer says to hold of this journal: if it is not what is here, nothing is written any more.
async fn listen(app: &App, asker: &SiteId, said: Mark) -> Result<(), Problem> {
    let (site, asker) = (app.site.clone(), asker.clone());
    let past = tokio::task::spawn_blocking(move || site.hear_of_itself(&asker, &said)).await;
    match past.map_err(|_| Problem::internal("reading the journal panicked"))?? {
        Past::Same => Ok(()),
        Past::Missing | Past::Other => Err(Problem::new(
            Code::JournalBehind,
            "what is held there of this site's journal is not what is here; nothing is written any more",
        )),
    }
}

/// Reads the journal, which may wait for the disk, on a thread that may.
async fn groups_after(feed: &Feed, term: u32, after: u64) -> Result<Vec<Bytes>, Problem> {
    let feed = feed.clone();
    let read = tokio::task::spawn_blocking(move || feed.groups(term, after)).await;
    Ok(read.map_err(|_| Problem::internal("reading the journal panicked"))??)
}

fn site_id(pointer: &str, text: &str) -> Result<SiteId, Problem> {
    SiteId::parse(text).map_err(|error| Problem::invalid(pointer, error.to_string()))
}
