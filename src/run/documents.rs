//! Documents of an id set, brought home completely: pages of a paginated set, halving where the schema allows it, and
//! what became of every id asked for (design of reading, rule 12).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use crate::decode::{Page, Shape, documents};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{Client, ErrorBody, IdRanges, Reply, Request, collapse, expand, render};
use crate::manifest::Key;
use crate::schema::Resource;

/// Halving may cost this many more requests, or a twentieth of all sets: one offender in a set of 200 costs sixteen.
const EXTRA: u64 = 100;

/// Asks for documents of a resource.
#[derive(Clone)]
pub struct Documents {
    pub client: Client,
    pub resource: Arc<Resource>,
    pub name: Arc<str>,
    pub shape: Arc<Shape>,
    /// The path with `{ids}`, service included.
    pub path: String,
    /// Requests that halving may still cost, for the whole scan.
    pub extra: Arc<AtomicU64>,
}

/// What came of an id set.
#[derive(Debug, Default)]
pub struct Brought {
    pub pages: Vec<(Page, Timestamp)>,
    /// Ids that the source did not return.
    pub gone: Vec<i64>,
    /// Ids not returned while some record without a readable key was: one of these it may be.
    pub unclear: Vec<i64>,
    /// Ids that the source refuses by themselves, with the code.
    pub refused: Vec<(i64, String)>,
}

/// A whole list.
#[derive(Debug)]
pub struct List {
    /// None when the source says that there is nothing.
    pub page: Option<(Page, Timestamp)>,
    /// The source's clock at the answer.
    pub date: Timestamp,
}

/// What one request gave.
enum Part {
    /// A page, when it was asked, and the source's clock at its answer.
    Page(Box<Page>, Timestamp, Timestamp),
    None(Timestamp),
    Halve(String),
}

/// What is still to be done about a set.
enum Rest {
    Nothing,
    /// The source refuses the set with this code.
    Halve(String),
    /// These were on none of its pages: while pages are read, records that go shift others from one to the one before.
    Again(IdRanges),
}

impl Documents {
    /// The budget of halving for a scan of so many sets.
    pub fn budget(sets: usize) -> Arc<AtomicU64> {
        let sets = u64::try_from(sets).unwrap_or(u64::MAX);
        Arc::new(AtomicU64::new(EXTRA.max(sets / 20)))
    }

    /// Brings the documents of these ids.
    pub async fn bring(&self, ids: &IdRanges) -> Result<Brought> {
        let mut brought = Brought::default();
        let mut sets: Vec<IdRanges> = vec![ids.clone()];
        while let Some(set) = sets.pop() {
            match self.whole_set(&set, &mut brought).await? {
                Rest::Nothing => {}
                Rest::Again(missing) => sets.push(missing),
                Rest::Halve(code) => match halves(&set) {
                    Some((low, high)) => {
                        self.spend(2, &code)?;
                        sets.extend([high, low]);
                    }
                    None => brought.refused.push((set[0].0, code)),
                },
            }
        }
        Ok(brought)
    }

    /// A list, whole. `path` holds no ids.
    pub async fn list(&self) -> Result<List> {
        match self.part(&Request::get(&self.name, self.path.clone())).await? {
            Part::Page(page, asked_at, date) => Ok(List { page: Some((*page, asked_at)), date }),
            Part::None(date) => Ok(List { page: None, date }),
            Part::Halve(code) => Err(Failure::new(Kind::Schema, format!("read {}", self.name))
                .because(format!("a list cannot be halved, and the source answers {code}"))),
        }
    }

    /// Every page of a set.
    async fn whole_set(&self, set: &IdRanges, brought: &mut Brought) -> Result<Rest> {
        let path = self.path.replace("{ids}", &render(set));
        let mut missing: HashSet<i64> = expand(set).collect();
        let mut first = 1;
        let mut keyless = false;
        loop {
            let request = Request::get(&self.name, if first == 1 { path.clone() } else { paged(&path, first) });
            match self.part(&request).await? {
                Part::Halve(code) => return Ok(Rest::Halve(code)),
                Part::None(_) => break,
                Part::Page(page, asked_at, _) => {
                    self.strike_off(&page, set, &mut missing)?;
                    keyless |= page.records.iter().any(|record| record.id.is_none());
                    let came = u64::try_from(page.owners.len()).expect("a length fits");
                    let more = page.more && came > 0;
                    brought.pages.push((*page, asked_at));
                    if !more {
                        break;
                    }
                    first += came;
                }
            }
        }
        if first > 1 && !missing.is_empty() {
            return Ok(Rest::Again(collapse(missing)));
        }
        let mut missing: Vec<i64> = missing.into_iter().collect();
        missing.sort_unstable();
        if keyless {
            brought.unclear.extend(missing)
        } else {
            brought.gone.extend(missing)
        }
        Ok(Rest::Nothing)
    }

    /// Removes from `missing` what a page brings; what was not asked for is refused.
    fn strike_off(&self, page: &Page, set: &IdRanges, missing: &mut HashSet<i64>) -> Result<()> {
        for owner in &page.owners {
            let Key::Int(id) = owner.key else { continue };
            if !missing.remove(&id) && !set.iter().any(|(start, end)| (*start..=*end).contains(&id)) {
                return Err(self.distrust(set, format!("it returns {id}, which was not asked for")));
            }
        }
        for id in page.records.iter().filter_map(|record| record.id.as_ref()) {
            if let Key::Int(id) = id {
                missing.remove(id);
            }
        }
        Ok(())
    }

    /// Asks until the body is whole.
    async fn part(&self, request: &Request) -> Result<Part> {
        let mut patience = self.client.patience();
        loop {
            let answer = match self.client.ask(request).await? {
                Reply::Good(answer) => answer,
                Reply::Refused { status, error, date } => return self.refusal(request, status, error, date),
            };
            let (asked_at, date) = (answer.asked_at, answer.date);
            let shape = Arc::clone(&self.shape);
            let read = tokio::task::spawn_blocking(move || documents(&shape, &answer.body));
            match read.await.expect("decoding does not panic") {
                Ok(page) => return Ok(Part::Page(Box::new(page), asked_at, date)),
                Err(broken) => match patience.another() {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => {
                        return Err(Failure::new(Kind::Answer, format!("read {}", self.name))
                            .at(request.path.clone())
                            .because(broken.0)
                            .advise(
                                "run again later; if it persists, leave the resource out with `resources.exclude`",
                            ));
                    }
                },
            }
        }
    }

    fn refusal(&self, request: &Request, status: u16, error: ErrorBody, date: Timestamp) -> Result<Part> {
        let read = &self.resource.read;
        let code = error.code.unwrap_or_default();
        // A wrong address bears the same code as ids that are none; only its message differs (API notes §5, §8).
        let wrong_address = error.message.starts_with("Cannot find the resource");
        let none = read.none_found.iter().any(|text| error.message.contains(text.as_str())) || code == "CMNC-404";
        if status == 404 && none && !wrong_address {
            return Ok(Part::None(date));
        }
        if read.split_on.contains(&code) {
            return Ok(Part::Halve(code));
        }
        let failure = Failure::new(Kind::Refused, format!("read {}", self.name))
            .at(request.path.clone())
            .because(format!("HTTP {status} {code} {}", error.message))
            .asked_as(error.request_id);
        Err(if status == 404 {
            failure
                .advise("the address is wrong or the service is not there: check account.code, or the schema's `get`")
        } else {
            failure.advise("the source does not take the request; run `pearlift check`, or leave the resource out with `resources.exclude`")
        })
    }

    fn spend(&self, requests: u64, code: &str) -> Result<()> {
        let left = self.extra.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(requests));
        left.map(|_| ()).map_err(|_| {
            Failure::new(Kind::Answer, format!("read {}", self.name))
                .because(format!("too many ids are refused with {code}: finding them would cost too many requests"))
                .advise("leave the resource out with `resources.exclude`, or choose other owners in its schema")
        })
    }

    fn distrust(&self, set: &IdRanges, why: String) -> Failure {
        Failure::new(Kind::Answer, format!("trust the answers for {}", self.name))
            .at(self.path.replace("{ids}", &render(set)))
            .because(why)
            .advise("the source has changed; leave the resource out with `resources.exclude` meanwhile")
    }
}

/// The path of a further page of a set.
fn paged(path: &str, first: u64) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}firstResult={first}")
}

/// The two halves of a set, or `None` when it holds one id.
fn halves(set: &IdRanges) -> Option<(IdRanges, IdRanges)> {
    let ids: Vec<i64> = expand(set).collect();
    if ids.len() < 2 {
        return None;
    }
    let (low, high) = ids.split_at(ids.len() / 2);
    Some((collapse(low.iter().copied()), collapse(high.iter().copied())))
}
