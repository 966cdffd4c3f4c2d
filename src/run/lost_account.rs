//! Why the first requests of `check` were refused: the account, its data centre, or the credentials.
//!
//! Takes the first refusal, and asks the other data centres with the same credentials, where the configured host is one of
//! the source's: a host that accepts them is the right one. Gives a finding with its remedy. Nothing documents how a host
//! answers for an account of another data centre (docs/brightpearl-api.md §1.6), so that neither a wrong address nor
//! refused credentials are a proof by themselves.

use crate::config::{AccountSettings, Credentials, DATA_CENTRES, DataCentre};
use crate::event::Events;
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{Auth, Client, Request, SourceReply};
use crate::run::request::RunRequest;

/// The first refusal.
#[derive(Debug)]
pub enum Lost {
    /// The host knows no such address for the account.
    Unknown(Failure),
    /// The credentials were refused, or there was no answer at all.
    Refused(Failure),
}

/// An account that was not found, and the request that shows it.
pub struct LostAccount<'c> {
    pub run: &'c RunRequest,
    pub account: &'c AccountSettings,
    pub credentials: &'c Credentials,
    /// The host that the token service named, where the token may be sent there.
    pub named: Option<String>,
    pub request: Request,
}

impl LostAccount<'_> {
    /// The word for the cause, and the failure with its remedy.
    pub async fn explain(&self, lost: Lost) -> Result<(&'static str, Failure)> {
        let host = self.account.host();
        let code = &self.account.code;
        let cause = match &lost {
            Lost::Unknown(cause) | Lost::Refused(cause) => cause,
        };
        if matches!(cause.kind(), Kind::Offline | Kind::Unreachable) {
            let (Lost::Unknown(cause) | Lost::Refused(cause)) = lost;
            return Ok(self.unreached(cause));
        }
        let (right, asked) = self.elsewhere().await?;
        if let Some(right) = right {
            let failure = Failure::new(cause.kind(), format!("find account {code} at {host}"))
                .because(format!("{} accepts the same credentials for it", right.host()))
                .asked_as(cause.request_id().map(str::to_owned))
                .advise(format!("write `{}` under [account]", right.setting(code)));
            return Ok(("data centre", failure));
        }
        let also = if asked.is_empty() { String::new() } else { format!(", and neither does {}", asked.join(", ")) };
        match lost {
            Lost::Unknown(cause) => {
                let failure = Failure::new(cause.kind(), format!("find account {code} at {host}"))
                    .because(format!("the source does not know it there{also}: {}", cause.reason()))
                    .asked_as(cause.request_id().map(str::to_owned))
                    .advise(
                        "check account.code: you enter it to log in to Brightpearl; and account.api_domain: the address of \
                         your Brightpearl pages begins with the data centre",
                    );
                Ok(("account", failure))
            }
            Lost::Refused(cause) => {
                let advice = cause.advice().unwrap_or_default().to_owned();
                let other = "a token of another account is refused in the same way, so check account.code too";
                Ok(("credentials", cause.advise(format!("{advice}; {other}"))))
            }
        }
    }

    /// No answer came: a host that the source does not have, or no way to it.
    fn unreached(&self, cause: Failure) -> (&'static str, Failure) {
        let known = DATA_CENTRES.contains(&self.account.host().as_str());
        if known || cause.kind() != Kind::Offline || self.is_elsewhere() {
            return ("source", cause);
        }
        let hosts = DATA_CENTRES.join(" and ");
        let advice = format!("check account.api_domain: the data centres are {hosts}; and the network connection");
        ("data centre", cause.advise(advice))
    }

    /// Whether the configured host is none of the source's.
    fn is_elsewhere(&self) -> bool {
        let host = self.account.base_url.host_str().unwrap_or_default();
        crate::fetch::check_domain(host, &[]).is_err()
    }

    /// A data centre that accepts the credentials for the account, and those that were asked.
    async fn elsewhere(&self) -> Result<(Option<DataCentre>, Vec<String>)> {
        let known = self.run.settings.data_centres()?;
        let own = self.account.host();
        let is_known = known.iter().any(|centre| centre.host() == own);
        if !is_known && self.is_elsewhere() {
            return Ok((None, Vec::new()));
        }
        let named = self.named.as_deref().map(DataCentre::new).transpose()?;
        let others = match self.credentials {
            // The token service knows the host; any other would only cost a refresh.
            Credentials::OAuth(_) => named.into_iter().collect(),
            Credentials::StaffToken { .. } | Credentials::AccountToken { .. } => known,
        };
        let mut asked = Vec::new();
        for centre in others.into_iter().filter(|centre| centre.host() != own) {
            if self.accepts(&centre).await? {
                return Ok((Some(centre), asked));
            }
            asked.push(centre.host());
        }
        Ok((None, asked))
    }

    /// Whether a data centre answers the request; one that cannot be reached does not.
    async fn accepts(&self, centre: &DataCentre) -> Result<bool> {
        let run = self.run;
        let account = self.account.at(centre);
        let auth = Auth::new(self.credentials.clone(), &account.code, run.redactor.clone())?;
        let client = Client::new(&account, auth, &run.settings.limits()?, run.seed, Events::silent())?;
        client.clocks().set(run.now);
        let request = Request { tries: Some(1), ..self.request.clone() };
        Ok(match client.ask(&request).await {
            Ok(SourceReply::Good(_)) => true,
            Ok(SourceReply::Refused { .. } | SourceReply::TooLong(_)) => false,
            // The credentials are known there, and may not read this.
            Err(failure) => is_forbidden(&failure),
        })
    }
}

/// Whether the source knows the credentials and forbids the request.
pub fn is_forbidden(failure: &Failure) -> bool {
    failure.kind() == Kind::Refused && failure.reason().starts_with("the source forbids it")
}
